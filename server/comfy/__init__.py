"""ComfyUI's HTTP and WebSocket API, at `/` and at `/api/`, over the same queue as `/v1`."""
