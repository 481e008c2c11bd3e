"""Nodes that load, save, batch, resize and upscale images."""
