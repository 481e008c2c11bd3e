"""The node functions of the built-in pack: thin, one function a node type."""
