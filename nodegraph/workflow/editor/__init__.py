"""The editor's own format: canvases of nodes and links, subgraphs, reroutes, bypasses."""
