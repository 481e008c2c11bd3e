"""`python -m server.worker FD`: serve the socket that was inherited as that descriptor."""

import socket
import sys

from server.worker.parent import die_with_parent


def main() -> None:
    """Tie this process to its parent first: the rest takes a while."""
    die_with_parent()
    from server.wire import Channel
    from server.worker.program import serve

    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)  # processes that nodes start must not keep it open
    serve(Channel(end))


if __name__ == "__main__":
    main()
