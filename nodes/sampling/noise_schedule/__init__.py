"""Noise, sigma schedules, and what a network predicts."""
