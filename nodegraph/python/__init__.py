"""Graphs written in Python, and the pytest fixtures for packs."""
