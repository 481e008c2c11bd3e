"""Our own HTTP API, with its OpenAPI document."""
