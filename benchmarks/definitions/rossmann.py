"""Daily sales of each Rossmann store, six weeks ahead, at the opening plan of those weeks.

A row is a day on which a store will open. It is known when its six weeks are planned, and so it
sees the sales known by then, whatever window it asks for: the log decides, no offset has to. A
schedule would decide at that moment, too, but once for all 42 days.
"""

import holdfast as hf

Store, Weekday, Promo = hf.Entity("store"), hf.Entity("weekday"), hf.Entity("promo")
Type = hf.Entity("store_type")


class Day(hf.Event, source="days.parquet"):
    planned_at = hf.KnownTime()
    date = hf.EventTime()
    store = hf.Key(Store)
    weekday = hf.Key(Weekday)
    promo = hf.Key(Promo)
    store_type = hf.Key(Type)
    promoted = hf.Boolean()
    school_holiday = hf.Boolean()
    state_holiday = hf.Category()
    assortment = hf.Category()
    promo2 = hf.Boolean()
    competition_km = hf.Float(ge=0, nullable=True)


class Plan(hf.Event, source="plan.parquet"):
    planned_at = hf.KnownTime()
    date = hf.EventTime()
    store = hf.Key(Store)
    closed = hf.Boolean()
    promoted = hf.Boolean()


class Sale(hf.Event, source="sales.parquet", lag="1d"):
    date = hf.EventTime()
    store = hf.Key(Store)
    weekday = hf.Key(Weekday)
    promo = hf.Key(Promo)
    store_type = hf.Key(Type)
    sales = hf.Float(gt=0, unit="EUR")


logged = Sale.sales.log1p()
slot, store, plan = Sale.by(Store, Weekday, Promo), Sale.by(Store), Plan.by(Store)


class Features(hf.Features):
    days_ahead = hf.hours_between(Day.planned_at, Day.date) / 24
    weekday = hf.calendar.weekday
    day = hf.calendar.day
    week = hf.calendar.week
    month = hf.calendar.month
    promoted = Day.promoted
    school_holiday = Day.school_holiday
    state_holiday = Day.state_holiday
    store_type = Day.store_type
    assortment = Day.assortment
    promo2 = Day.promo2
    competition_km = Day.competition_km
    slot_median = slot.median(logged, over="all")
    slot_mean_400d = slot.mean(logged, over="400d")
    slot_mean_180d = slot.mean(logged, over="180d")
    slot_mean_100d = slot.mean(logged, over="100d")
    store_mean_400d = store.mean(logged, over="400d")
    store_mean_180d = store.mean(logged, over="180d")
    store_mean_84d = store.mean(logged, over="84d")
    store_spread = store.std(logged, over="180d")
    store_last_year = store.mean(logged, over="28d", offset="350d")
    slot_last_year = slot.mean(logged, over="42d", offset="343d")
    closed_soon = plan.sum(Plan.closed, ahead="3d")
    closed_before = plan.sum(Plan.closed, over="3d")
    promoted_soon = plan.sum(Plan.promoted, ahead="7d")
    promoted_before = plan.sum(Plan.promoted, over="7d")
    type_recent = Sale.by(Type, Weekday, Promo).mean(logged, over="120d")


use_case = hf.UseCase(
    name="store-sales",
    owner="benchmarks",
    each=Day,
    predict=store.sum(logged, ahead="1d"),
    features=Features,
    value=hf.InventoryCost("EUR", underage=1, overage=1),
    training=hf.Training(
        candidates=[hf.LightGBM(n_estimators=600, num_leaves=63, learning_rate=0.05, max_bin=255)],
        folds=2,
    ),
)
