"""Optional steps of a search, each a runnable from what was found to what is left of it."""
