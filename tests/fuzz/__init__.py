"""Fuzzing: `make fuzz` and `make fuzz-api`. What must hold for any input is tried on random input until the time is up."""
