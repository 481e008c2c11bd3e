"""Nodes for strings, regular expressions and other plain values."""
