"""One engine each, in a process of its own: `python -m benchmarks.peers.NAME EVENTS`.

Each builds the same 45 features (three numbers, windows of an hour, a day and 30 days, five
aggregations) of the same generated log, and prints seconds and peak memory as JSON.
"""
