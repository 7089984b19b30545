"""The ground everything stands on: clock, durations, seeds, ids, settings. No I/O, no policy."""
