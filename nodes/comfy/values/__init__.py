"""Values handed to ComfyUI packs and taken back from them."""
