"""Autoencoders: what their files are told by, and their keys."""
