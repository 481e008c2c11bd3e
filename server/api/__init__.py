"""The HTTP routes: ComfyUI's dialect, our own API, the editor's extras."""
