"""The explanation of a workflow for `nodegraph explain`: as text, as JSON, and as a drawing."""
