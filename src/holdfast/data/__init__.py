"""Data: files to tables that keep their contract; what does not goes to quarantine."""
