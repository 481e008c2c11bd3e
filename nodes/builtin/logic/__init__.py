"""Nodes that calculate with plain values: choices, numbers, formulas, texts, lists and loops."""
