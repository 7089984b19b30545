"""Stores: one edge of the system; layers see the Protocols of `base`, never an adapter."""
