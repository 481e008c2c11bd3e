"""Webhooks: signed messages to allowed servers when a run is over, repeated until delivered."""
