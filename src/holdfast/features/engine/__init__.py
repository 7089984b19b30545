"""The engine: one kernel that folds a key's rows into its state and reads windows from it."""
