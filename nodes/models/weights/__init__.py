"""Weight files: headers, lazily mapped tensors, key tables, quantized tensors, writing."""
