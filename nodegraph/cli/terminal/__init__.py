"""The terminal: progress, queues and errors as people read them."""
