"""Benchmarks of the HTTP API: `make bench-api`. Every figure is a ratio within one run."""
