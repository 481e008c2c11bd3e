"""Nodes that load, make, change and save video and sound."""
