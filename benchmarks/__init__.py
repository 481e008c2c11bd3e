"""Benchmarks: each is a command that prints its figures, and keeps them with date and machine."""
