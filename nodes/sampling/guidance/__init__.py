"""Guidance: which conditions are asked at a step, and how the answers are combined."""
