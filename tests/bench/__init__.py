"""Benchmarks: `make bench` measures all into docs/benchmarks.md and .json; `make bench BENCH="name name"` some."""
