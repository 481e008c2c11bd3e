"""What packs find under the names of ComfyUI's modules; see `nodes.comfy.hosted`."""
