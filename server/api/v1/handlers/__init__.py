"""The handlers of `/v1`, a resource a file."""
