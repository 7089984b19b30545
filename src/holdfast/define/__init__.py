"""The language of definitions: declarations only, no I/O, nothing registered, nothing heavy."""
