"""Benchmarks: `make bench`. Every figure is a ratio against a baseline taken in the same run."""
