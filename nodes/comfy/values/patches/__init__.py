"""Changes that packs make inside of a network: to its weights, its attention, and its calls."""
