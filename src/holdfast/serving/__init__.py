"""Answers over HTTP and in batches, and the record of every one of them."""
