"""Fuzzing: `make fuzz`. What must hold for any input is tried on random input until the time is up."""
