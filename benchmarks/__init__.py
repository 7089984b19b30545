"""Benchmarks: one command each, figures beside published ones, results written to a file."""
