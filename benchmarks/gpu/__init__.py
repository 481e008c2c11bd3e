"""Benchmarks of full-size models on an accelerator; `--tiny` runs the same code on small ones."""
