"""Packs in an environment of their own: their nodes run in a process of its Python."""
