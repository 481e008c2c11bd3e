"""Benchmarks that need no accelerator."""
