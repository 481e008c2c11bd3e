"""The data that `/v1` takes and gives, and its OpenAPI document."""
