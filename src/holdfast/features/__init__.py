"""The feature engine: one implementation of a feature, for training sets and for serving."""
