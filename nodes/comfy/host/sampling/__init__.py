"""Stand-ins for the modules of ComfyUI that sample."""
