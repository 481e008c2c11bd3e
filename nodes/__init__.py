"""The built-in pack: images and the models that make them."""
