"""HTTP parts that all routes share: security, tokens, bodies, files, tenancy."""
