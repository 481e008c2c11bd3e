"""Settings: defaults, `nodegraph.toml`, environment, flags."""
