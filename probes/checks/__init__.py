"""What is probed: a check is one small class, found by its `kind`."""
