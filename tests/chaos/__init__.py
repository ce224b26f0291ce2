"""`make chaos SEED=7 MINUTES=30`: random faults from a seed, and what must hold before, between and after them."""
