"""Stand-ins for the modules about the inside of networks: layers, weights, conditions, wrappers."""
