"""Nodes that load, patch, merge, quantize and save models."""
