"""`make chaos SEED=7 MINUTES=30`: random faults from a seed, and after each what must always hold."""
