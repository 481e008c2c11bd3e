"""Workflow files: ComfyUI's API format, the editor's format, files that carry them."""
