"""What `nodegraph explain` says of a workflow: the facts, as text, as JSON, and as a drawing."""
