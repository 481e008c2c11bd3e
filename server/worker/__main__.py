"""`python -m server.worker FD`: serve the socket that was inherited as that descriptor."""

import socket
import sys

from server.wire import Channel
from server.worker.program import serve

if __name__ == "__main__":
    serve(Channel(socket.socket(fileno=int(sys.argv[1]))))
