"""ComfyUI's web editor, served unchanged, and its settings, workflows and log."""
