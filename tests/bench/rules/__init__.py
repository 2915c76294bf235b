"""Benchmarks of the rules: `make bench-rules`. Every figure is a ratio within one run, except a compilation's time."""
