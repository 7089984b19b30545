"""Flights from New York: 15 minutes late or more on arrival, told at scheduled departure."""

import holdfast as hf

Carrier, Aircraft = hf.Entity("carrier"), hf.Entity("tailnum")
Origin, Destination = hf.Entity("origin"), hf.Entity("dest")


class Flight(hf.Event, source="flights.parquet"):
    flight_id = hf.Key()
    scheduled_at = hf.EventTime()
    carrier = hf.Key(Carrier)
    tailnum = hf.Key(Aircraft, nullable=True)
    origin = hf.Key(Origin)
    dest = hf.Key(Destination)
    distance = hf.Float(gt=0, unit="miles")
    sched_hour = hf.Integer(ge=0, le=24)
    arrived_at = hf.Time(nullable=True)
    arr_delay = hf.Float(unit="min", nullable=True, known_at="arrived_at")
    late = hf.Boolean(nullable=True, known_at="arrived_at")


class Weather(hf.Snapshot, source="weather.parquet"):
    observed_at = hf.EventTime()
    origin = hf.Key(Origin)
    temp = hf.Float(nullable=True)
    dewp = hf.Float(nullable=True)
    wind_speed = hf.Float(nullable=True)
    wind_gust = hf.Float(nullable=True)
    precip = hf.Float(nullable=True)
    pressure = hf.Float(nullable=True)
    visib = hf.Float(nullable=True)


late = Flight.late
by_origin, by_carrier = Flight.by(Origin), Flight.by(Carrier)
by_dest, by_aircraft = Flight.by(Destination), Flight.by(Aircraft)


class Features(hf.Features):
    distance = Flight.distance
    carrier = Flight.carrier
    origin = Flight.origin
    hour = Flight.sched_hour
    weekday = hf.Calendar("America/New_York").weekday
    temp = Weather.temp
    dewp = Weather.dewp
    wind_speed = Weather.wind_speed
    wind_gust = Weather.wind_gust
    precip = Weather.precip
    pressure = Weather.pressure
    visib = Weather.visib
    # Only arrivals already known count, so a window reaches back past the flight itself.
    origin_delay_6h = by_origin.mean(Flight.arr_delay, over="6h")
    origin_late_12h = by_origin.mean(late, over="11h")
    carrier_delay_6h = by_carrier.mean(Flight.arr_delay, over="6h")
    carrier_delay_11h = by_carrier.mean(Flight.arr_delay, over="11h")
    dest_delay_1d = by_dest.mean(Flight.arr_delay, over="1d")
    dest_late_30d = by_dest.mean(late, over="30d")
    carrier_late_30d = by_carrier.mean(late, over="30d")
    aircraft_delay_1d = by_aircraft.last(Flight.arr_delay, over="1d")
    aircraft_delay_30d = by_aircraft.mean(Flight.arr_delay, over="30d")
    origin_flights_1h = by_origin.count(over="1h")


use_case = hf.UseCase(
    name="late-flights",
    each=Flight,
    predict=late,
    features=Features,
    value=hf.Payoff("USD", leave=hf.when(late, -30, 0), warn=hf.when(late, -5, -8)),
    training=hf.Training(candidates=[hf.LogisticRegression(), hf.LightGBM()]),
)
