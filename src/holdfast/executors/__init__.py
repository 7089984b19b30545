"""Edge: where the tasks of large jobs run; one file per technology."""
