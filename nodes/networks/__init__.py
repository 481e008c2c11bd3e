"""The networks themselves: how each kind is built, and what is asked of it.

diffusers and transformers enter here and nowhere else, by their model classes' own modules.
"""
