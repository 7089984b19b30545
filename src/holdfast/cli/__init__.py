"""The command line: the door for people; the only layer that prints."""
