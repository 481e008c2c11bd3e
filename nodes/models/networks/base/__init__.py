"""Parts that all networks use: builders, inputs, attention backends."""
