"""Generated worlds whose truth is known, to measure decisions and engines against."""

from holdfast.testing.worlds.fraud import LivePayments, WorldReport, fraud_world, live_payments
from holdfast.testing.worlds.log import EventLog, LogReport, event_log
from holdfast.testing.worlds.oracle import (
    Bounds,
    best_possible,
    best_possible_payments,
    card_payoff,
)

__all__ = [
    "Bounds",
    "EventLog",
    "LivePayments",
    "LogReport",
    "WorldReport",
    "best_possible",
    "best_possible_payments",
    "card_payoff",
    "event_log",
    "fraud_world",
    "live_payments",
]
