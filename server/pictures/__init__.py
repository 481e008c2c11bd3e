"""Decodes images in a separate process, so that a hostile image cannot harm the server."""
