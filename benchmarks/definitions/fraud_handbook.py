"""Card fraud on the Fraud Detection Handbook's simulated transactions (protocol A)."""

import holdfast as hf

Customer, Terminal = hf.Entity("customer_id"), hf.Entity("terminal_id")


class Transaction(hf.Event, source="transactions.parquet"):
    transaction_id = hf.Key(column="TRANSACTION_ID")
    at = hf.EventTime(column="TX_DATETIME")
    customer_id = hf.Key(Customer, column="CUSTOMER_ID")
    terminal_id = hf.Key(Terminal, column="TERMINAL_ID")
    amount = hf.Float(ge=0, unit="EUR", column="TX_AMOUNT")
    fraud = hf.Boolean(known_after="7d", column="TX_FRAUD", true="1", false="0")


fraud = Transaction.fraud
by_customer = Transaction.by(Customer)
by_terminal = Transaction.by(Terminal)


class Features(hf.Features):
    amount = Transaction.amount
    weekend = hf.calendar.is_weekend
    night = hf.calendar.hour <= 6
    customer_count_1d = by_customer.count(over="1d")
    customer_mean_1d = by_customer.mean(amount, over="1d")
    customer_count_7d = by_customer.count(over="7d")
    customer_mean_7d = by_customer.mean(amount, over="7d")
    customer_count_30d = by_customer.count(over="30d")
    customer_mean_30d = by_customer.mean(amount, over="30d")
    # A fraud is known 7 days later, so only windows longer than that have matured rows.
    terminal_count_1d = by_terminal.count(over="1d", offset="7d")
    terminal_risk_1d = by_terminal.mean(fraud, over="8d")
    terminal_count_7d = by_terminal.count(over="7d", offset="7d")
    terminal_risk_7d = by_terminal.mean(fraud, over="14d")
    terminal_count_30d = by_terminal.count(over="30d", offset="7d")
    terminal_risk_30d = by_terminal.mean(fraud, over="37d")


use_case = hf.UseCase(
    name="fraud-handbook",
    each=Transaction,
    predict=fraud,
    features=Features,
    value=hf.Payoff(
        "EUR",
        approve=hf.when(fraud, -Transaction.amount - 15, 0.012 * Transaction.amount),
        decline=hf.when(fraud, 0, -8),
    ),
    training=hf.Training(candidates=[hf.LogisticRegression(), hf.LightGBM(), hf.XGBoost()]),
)
