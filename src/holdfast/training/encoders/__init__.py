"""Encoders: from feature values and texts to the columns that models see."""
