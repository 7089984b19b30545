"""The loop: the composition root, the only place that opens stores."""
