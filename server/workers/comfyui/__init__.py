"""ComfyUI servers as workers: over HTTP and WebSocket, in their documented dialect."""
