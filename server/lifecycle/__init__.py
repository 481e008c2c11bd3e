"""The server's start and end: data folder, sockets, application, reload."""
