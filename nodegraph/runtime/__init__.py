"""The environment of a run: cancellation, devices, memory, attention."""
