"""Files of weights: their headers, their tensors, the names in them, and patches on top."""
