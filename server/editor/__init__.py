"""ComfyUI's own web editor, served as it is, and what it keeps: settings, workflows, a log."""
