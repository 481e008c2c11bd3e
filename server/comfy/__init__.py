"""ComfyUI's HTTP and WebSocket dialect, at `/` and at `/api/`; thin over the same queue."""
