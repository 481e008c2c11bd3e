"""`python -m server.pictures FD`: the decoding process; FD is the inherited socket."""

import socket
import sys

from server.pictures.program import serve
from server.workers.wire import Channel

if __name__ == "__main__":
    serve(Channel(socket.socket(fileno=int(sys.argv[1]))))
