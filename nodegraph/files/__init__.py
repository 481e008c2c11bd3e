"""Model, input and output files: safe paths, atomic writes, hashes, references."""
