"""Pure rendering: a value of `desired` in, text out; sorted, deterministic, no clock."""
