"""Stand-ins for ComfyUI's `comfy_api`, the v3 node schema."""
