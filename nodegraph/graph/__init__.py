"""The graph as frozen data, node specs and sockets, and walks over it."""
