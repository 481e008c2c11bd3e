"""The server: a durable queue of graphs, workers that run them, and two HTTP APIs for it."""
