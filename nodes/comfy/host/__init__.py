"""Stand-ins for ComfyUI's modules; see `nodes.comfy.host_modules`."""
