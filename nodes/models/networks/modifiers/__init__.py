"""Changes inside of a network that keep its weights: FreeU, token merging, skipped layers."""
