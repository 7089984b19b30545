"""Small worlds for laws: definitions with every kind of label, and random histories for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

import holdfast as hf
from holdfast.data.table import TYPES, Table
from holdfast.features.compile_plan import compile_plan
from holdfast.features.online import OnlineFeatures
from holdfast.features.plan import Plan
from holdfast.stores.base import OnlineStore

HOUR = 3_600_000_000
STEP = 6 * HOUR
STEPS = 48
START = 1_700_000_000_000_000 // STEP * STEP

Card, Shop = hf.Entity("card"), hf.Entity("shop")


class Pay(hf.Event, source="pay.csv"):
    pay_id = hf.Key()
    at = hf.EventTime()
    seen_at = hf.KnownTime()
    card = hf.Key(Card)
    shop = hf.Key(Shop, nullable=True)
    amount = hf.Float(nullable=True)
    place = hf.Category(nullable=True)
    note = hf.Text(nullable=True)
    online = hf.Boolean(nullable=True)
    bad = hf.Boolean(known_after="36h", nullable=True)
    dispute = hf.Float(known_at="disputed_at", nullable=True)
    disputed_at = hf.Time(nullable=True)
    gone_at = hf.RetractedTime()


class Back(hf.Event, source="back.csv"):
    back_id = hf.Key()
    pay_id = hf.Key(Pay)
    at = hf.EventTime()
    seen_at = hf.KnownTime()
    cost = hf.Float(nullable=True)
    gone_at = hf.RetractedTime()


class Limit(hf.Snapshot, source="limit.csv", lag="6h"):
    limit_id = hf.Key()
    card = hf.Key(Card)
    at = hf.EventTime()
    most = hf.Float(nullable=True)
    tier = hf.Category(nullable=True)
    ends_at = hf.ValidUntil()
    gone = hf.Deleted()
    gone_at = hf.RetractedTime()


class Home(hf.Snapshot, source="home.csv", of=Card):
    home_id = hf.Key()
    card = hf.Key(Card)
    at = hf.EventTime()
    shop = hf.Key(Shop, nullable=True)
    gone = hf.Deleted()


class Rent(hf.Snapshot, source="rent.csv"):
    rent_id = hf.Key()
    shop = hf.Key(Shop)
    at = hf.EventTime()
    rent = hf.Float(nullable=True)


charged = Back.by(Pay).any(ahead="2d")
cost_ahead = Back.by(Pay).mean(Back.cost, ahead="30h")
noted_ahead = Pay.by(Card).sum(Pay.note.length(), ahead="1d")
spent_ahead = Pay.by(Card).sum(Pay.amount, ahead="1d")


class Features(hf.Features):
    amount = Pay.amount
    place = Pay.place
    count_6h = Pay.by(Card).count(over="6h")
    sum_1d = Pay.by(Card).sum(Pay.amount, over="1d")
    mean_3d = Pay.by(Card).mean(Pay.amount, over="3d")
    std_all = Pay.by(Card).std(Pay.amount, over="all")
    first_3d = Pay.by(Card).first(Pay.amount, over="3d")
    last_place = Pay.by(Card).last(Pay.place, over="3d")
    new_place = ~Pay.by(Card).seen(Pay.place, over="3d")
    before = Pay.by(Shop).max(Pay.amount, over="2d", offset="1d")
    since = Pay.by(Shop).hours_since_last(over="all")
    online_share = Pay.by(Shop, Card).mean(Pay.online, over="all")
    most = Limit.most
    over_limit = Pay.amount > Limit.most
    limits = Limit.by(Card).count(over="3d")
    ratio = amount / mean_3d


class Deep(hf.Features):
    """Every kind of aggregation, conditions and arithmetic inside it, what is in force."""

    big = Pay.by(Card).count(over="3d", where=Pay.amount > 1)
    online_sum = Pay.by(Card).sum(Pay.amount * 2 - 1, over="2d", where=Pay.online)
    since_big = Pay.by(Card).hours_since_last(where=Pay.amount > 1)
    online_ratio = Pay.by(Card).ratio(where=Pay.online, over="3d")
    rate = Pay.by(Shop).rate(over="1d")
    spread = Pay.by(Card).variance(Pay.amount, over="4d", offset="6h")
    trend = Pay.by(Card).slope(Pay.amount, over="all")
    median = Pay.by(Card).median(Pay.amount, over="5d")
    places = Pay.by(Card).distinct(Pay.place, over="2d", where=~Pay.online)
    surprise = Pay.by(Card).entropy(Pay.place, over="all")
    (usual, times), (second, _) = Pay.by(Card).top_k(Pay.place, 2, over="5d", offset="1d")
    latest, one_before = Pay.by(Card).last_n(Pay.amount, 2, over="3d")
    _, second_ever = Pay.by(Card).first_n(Pay.amount, 2, over="all")
    faded = Pay.by(Card).decayed_sum(Pay.amount, half_life="1d")
    faded_mean = Pay.by(Shop).decayed_mean(Pay.amount, half_life="8h", where=Pay.online)
    sessions = Pay.by(Card).sessions(gap="7h", over="5d")
    session_rows = Pay.by(Card).session_rows(gap="7h")
    session_minutes = Pay.by(Card).session_minutes(gap="2d")
    most = Limit.most
    limit_of_shop = Limit.by(Card).in_force(Limit.most)
    home_sum = Pay.by(Home.shop).sum(Pay.amount, over="3d")
    home_charged = Pay.by(Home.shop, Card).mean(charged, over="5d")
    home_rent = Rent.by(Home.shop).in_force(Rent.rent)
    home_is_here = Home.shop == Pay.shop
    charged_big = Pay.by(Shop).mean(charged, over="5d", where=Pay.amount > 1)


class Charged(Features):
    shop_charged = Pay.by(Shop).mean(charged, over="5d")
    card_charged = Pay.by(Card).count(over="all") * Pay.by(Card).max(charged, over="all")


class Costs(Features):
    shop_cost = Pay.by(Shop).mean(cost_ahead, over="5d")
    card_spent = Pay.by(Card).max(spent_ahead, over="all")


class Marked(Features):
    shop_bad = Pay.by(Shop).mean(Pay.bad, over="5d")
    card_bad = Pay.by(Card).sum(Pay.bad, over="all")
    shop_dispute = Pay.by(Shop).sum(Pay.dispute, over="all")


class Rows(hf.Features):
    """Row-level expressions, bare and inside aggregations."""

    logged = Pay.amount.log1p().fill(-1.0)
    power = (Pay.amount / 3.0) ** 1.5 % 7.0
    rounded = hf.maximum(Pay.amount.clip(-1.0, 5.5).round(1), Pay.amount // 2.0)
    spread = abs(Pay.amount).sqrt() * Pay.amount.sign() - Pay.amount.exp()
    near = hf.distance_km(Pay.amount, 3.0 * Pay.amount, 38.7, Limit.most)
    where = Pay.place.is_in("nl", "fr") | Pay.amount.between(0.0, 3.0)
    kind = hf.when(Pay.amount > 1.0, Pay.place, "small")
    local_hour = Pay.at.hour("America/New_York")
    week = Pay.seen_at.week("Asia/Kolkata") * 1000 + Pay.seen_at.day_of_year()
    waited = hf.hours_between(Pay.at, Pay.seen_at)
    at_night = Pay.by(Card).sum(hf.when(Pay.at.hour() < 6, Pay.amount, 0.0), over="3d")
    mean_log = Pay.by(Shop).mean(Pay.amount.log1p(), over="all")
    weekends = Pay.by(Card).sum(Pay.at.is_weekend("Europe/Lisbon"), over="all")
    shop_bad = Pay.by(Shop).mean(hf.when(Pay.bad, Pay.amount.fill(0.5), 0.0), over="all")
    most = hf.coalesce(Limit.most, Pay.amount, 9.0)


@hf.row_feature(Pay.amount, Pay.place.upper(), Pay.at, Pay.online, returns=float)
def judged(amount, place, at, online):  # type: ignore[no-untyped-def]
    """A user's own function: it meets missing values, and may give none."""
    if amount is None or place is None:
        return None
    return len(place) * amount + at.hour + (0.5 if online else 0.25)


@hf.row_feature(Pay.shop, Pay.place, returns=str)
def labelled(shop, place):  # type: ignore[no-untyped-def]
    return f"{shop or '-'}/{place or ''}"


class Texts(hf.Features):
    """Text operations, bare and inside aggregations."""

    upper = Pay.place.upper()
    both = hf.concat(Pay.place, "-", Pay.card.upper())
    second = hf.concat(Pay.place, "-", Pay.card).part("-", 1)
    size = Pay.note.length() * 10 + Pay.note.words()
    number = Pay.note.part(" ", -1).to_number()
    bucket = Pay.place.hash(16) + Pay.note.slice(0, 3).hash(8)
    same = Pay.place.upper() == Pay.note.slice(0, 2).upper()
    gifts = Pay.by(Card).sum(hf.when(Pay.note.contains("gift"), Pay.amount, 0.0), over="3d")
    lines = Pay.by(Shop).sum(Pay.note.matches(r"^g.*\d$"), over="all")
    new_text = Pay.by(Card).seen(Pay.note.lower().strip(), over="3d")
    tier = Limit.tier.lower()
    is_gold = Limit.tier.starts_with("G") & Pay.note.ends_with("1")
    notes_ahead = Pay.by(Shop).mean(noted_ahead, over="all")


class Functions(hf.Features):
    """Plain Python, bare, inside aggregations and inside operators."""

    judged = judged
    labelled = labelled
    shown = labelled.upper().part("/", 1)
    judged_3d = Pay.by(Card).mean(judged, over="3d")
    last_label = Pay.by(Shop).last(labelled, over="all")
    often = Pay.by(Card).count(over="3d", where=labelled.starts_with("x") & (judged > 0))
    both = hf.when(labelled == "x/nl", judged, -judged)


def _plan(name: str, predict: Any, features: type[hf.Features]) -> Plan:
    value = hf.Payoff("EUR", yes=hf.when(predict, -1, 1), no=0)
    training = hf.Training(candidates=[hf.LogisticRegression()])
    use_case = hf.UseCase(
        name=name, each=Pay, predict=predict, features=features, value=value, training=training,
        owner="laws",
    )  # fmt: skip
    return compile_plan(use_case)


PLANS = {
    "charged": _plan("charged", charged, Charged),
    "deep": _plan("deep", charged, Deep),
    "costs": _plan("costs", charged, Costs),
    "marked": _plan("marked", Pay.bad, Marked),
    "rows": _plan("rows", charged, Rows),
    "texts": _plan("texts", charged, Texts),
    "functions": _plan("functions", charged, Functions),
}

ROWS_MAX = 24
_late = st.sampled_from([0, 0, 0, 0, STEP, 2 * STEP, 8 * STEP, 30 * STEP])
_moment = st.integers(0, STEPS - 1).map(lambda n: START + n * STEP)
_note = st.sampled_from(
    [None, "gift 1", "NL Gift", " a gift ", "g\u00e9n\u00e9ral 12", "de -1.5e3"]
)
_number = st.one_of(st.none(), st.sampled_from([-2.5, 0.0, 0.1, 3.0, 1e9, 7.25]))


_limit = st.tuples(
    st.sampled_from("abc"), _moment, _number,
    st.sampled_from([None, STEP, 9 * STEP]), st.sampled_from([None, False, False, True]),
)  # fmt: skip


_home = st.tuples(
    st.sampled_from("ab"), _moment, st.sampled_from(["x", "y", "z", None]),
    st.sampled_from([None, False, True]),
)  # fmt: skip
_rent = st.tuples(st.sampled_from("xyz"), _moment, _number)


@st.composite
def pays(draw: st.DrawFn) -> dict[str, Any]:
    """One payment, without its key."""
    at, late = draw(_moment), draw(_late)
    odd = draw(st.booleans())
    disputed = draw(st.one_of(st.none(), _late))
    return {
        "at": at + (1 if odd else 0),
        "seen_at": at + (1 if odd else 0) + late,
        "card": draw(st.sampled_from(["a", "b"])),
        "shop": draw(st.sampled_from(["x", "y", None])),
        "amount": draw(_number),
        "place": draw(st.sampled_from(["nl", "de", None])),
        "note": draw(_note),
        "online": draw(st.sampled_from([True, False, None])),
        "bad": draw(st.sampled_from([True, False, None])),
        "dispute": None if disputed is None else draw(_number),
        "disputed_at": None if disputed is None else at + disputed,
    }


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Rows of each source, unsorted, with keys of their own."""
    payments = draw(st.lists(pays(), min_size=1, max_size=ROWS_MAX))
    for number, row in enumerate(payments):
        row["pay_id"] = f"p{number}"
    backs = []
    for number, index in enumerate(draw(st.lists(st.integers(0, 99), max_size=8))):
        paid = payments[index % len(payments)]
        at = max(START, paid["at"] + draw(st.sampled_from([-STEP, 0, STEP, 5 * STEP, 8 * STEP])))
        backs.append(
            {
                "back_id": f"b{number}",
                "pay_id": draw(st.sampled_from([paid["pay_id"], paid["pay_id"], "unknown"])),
                "at": at,
                "seen_at": at + draw(_late),
                "cost": draw(_number),
            }
        )
    limits = [
        {
            "limit_id": f"l{n}",
            "card": card,
            "at": at,
            "most": most,
            "ends_at": None if lasts is None else at + lasts,
            "gone": gone,
            "tier": ("Gold", "basic", None)[n % 3],
        }
        for n, (card, at, most, lasts, gone) in enumerate(draw(st.lists(_limit, max_size=6)))
    ]
    homes = [
        {"home_id": f"h{n}", "card": card, "at": at, "shop": shop, "gone": gone}
        for n, (card, at, shop, gone) in enumerate(draw(st.lists(_home, max_size=6)))
    ]
    rents = [
        {"rent_id": f"r{n}", "shop": shop, "at": at, "rent": rent}
        for n, (shop, at, rent) in enumerate(draw(st.lists(_rent, max_size=4)))
    ]
    return {"Pay": payments, "Back": backs, "Limit": limits, "Home": homes, "Rent": rents}


def tables_of(plan: Plan, world: Mapping[str, list[dict[str, Any]]]) -> dict[str, Table]:
    """The world's rows as the tables of a plan."""
    tables = {}
    for name, schema in plan.schemas.items():
        types = {column.attr: TYPES[column.kind] for column in schema.columns}
        tables[name] = Table.of(schema, pl.DataFrame(world[name], schema=types))
    return tables


Rows = list[tuple[str, int, dict[str, Any]]]


def in_order(plan: Plan, tables: Mapping[str, Table], after_us: int = -(1 << 60)) -> Rows:
    """The rows known after a moment, in log order: (source, position, row)."""
    names = [plan.each, *(name for name in tables if name != plan.each)]
    found = [
        ((int(table.known_us[at]), rank, at), name, row)
        for rank, (name, table) in enumerate((name, tables[name]) for name in names)
        for at, row in enumerate(table.frame.iter_rows(named=True))
        if table.known_us[at] > after_us
    ]
    return [(name, place[2], row) for place, name, row in sorted(found, key=lambda f: f[0])]


def serve(
    online: OnlineFeatures, store: OnlineStore, rows: Rows
) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Give rows to the service's features one at a time; what was read, by the key of its row."""
    each = online.plan.each
    read = {}
    for name, _, row in rows:
        with store.transaction(write=True) as txn:
            accepted = online.accept(txn, name, row)
            assert not accepted.repeated
            if name == each:
                read[row["pay_id"]] = online.read(txn, row)[0]
            online.fold(txn, name, row, accepted.offset)
    return read
