"""`python -m server.workers.ray FD`: the gateway; FD is the inherited socket to the server."""

import asyncio
import os
import socket
import sys

from server.workers.process import die_with_parent


def main() -> None:
    """Tie this process to its parent, then serve it until it is gone."""
    die_with_parent()
    from server.workers.ray.gateway import serve

    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)
    asyncio.run(serve(end))
    sys.stdout.flush()
    os._exit(0)  # Ray's threads may wait for a head that is gone


if __name__ == "__main__":
    main()
