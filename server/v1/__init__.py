"""Our own HTTP API, `/v1`: resources, problem+json, OpenAPI."""
