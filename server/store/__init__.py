"""The durable queue: runs, their graphs, events and files, in one SQLite database."""
