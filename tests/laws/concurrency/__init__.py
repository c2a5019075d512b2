"""Several processes that call at the same time, and whether some order of their calls explains it."""
