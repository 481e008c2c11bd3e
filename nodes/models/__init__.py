"""Models: weight files, families, networks, text encoders, handles, patches, adapters."""
