"""Workers on Ray: an actor for each, and a gateway process between them and the server."""
