"""Graphs written in Python: nodes as typed calls, and workflow files as such code."""
