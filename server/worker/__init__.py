"""The worker program: runs graphs for a server, which it hears over a socket and outlives never."""
