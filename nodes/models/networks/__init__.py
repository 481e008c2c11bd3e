"""The networks: how each kind is built and called.

diffusers and transformers enter here and nowhere else, by their model classes' own modules.
"""
