"""ComfyUI's HTTP and WebSocket dialect, at `/` and `/api/`."""
