"""Nodes that make, change, save, encode and decode latents."""
