"""Stand-ins for the modules of ComfyUI's package `comfy`."""
