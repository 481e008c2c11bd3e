"""Tells other servers when a run is over: those that are allowed, signed, until they heard it."""
