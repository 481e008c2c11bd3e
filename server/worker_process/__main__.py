"""`python -m server.worker_process FD`: a worker; FD is the inherited socket to the server."""

import socket
import sys

from server.workers.process import die_with_parent


def main() -> None:
    """Tie this process to its parent, then serve; imports come second because they take a while."""
    die_with_parent()
    from server.worker_process.program import serve
    from server.workers.wire import Channel

    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)  # child processes of nodes must not keep it open
    serve(Channel(end))


if __name__ == "__main__":
    main()
