"""The worker program: runs graphs for a server, over a socket, and ends with the server."""
