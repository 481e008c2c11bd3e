"""Kinds of model files: recognise each, read its configuration, name its keys."""
