"""Scores as small accumulators: numpy in, frozen results out; no torch."""
