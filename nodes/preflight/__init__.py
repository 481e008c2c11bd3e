"""Checks of model and image files before a run, from their headers and without torch."""
