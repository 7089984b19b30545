"""The tests; each folder says in its name what kind of proof it holds."""
