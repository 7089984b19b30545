"""Worlds with known truth and conformance kits, for tests of yours and ours."""
