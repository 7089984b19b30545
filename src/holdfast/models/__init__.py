"""The edge to models: `base.py` is the promise, `open.py` the way in, one file a technology."""
