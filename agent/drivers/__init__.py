"""All I/O, one library each."""
