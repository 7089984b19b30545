"""Training sets and states by partitions of the keys: larger than memory, on several machines."""
