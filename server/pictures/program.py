"""The main loop of the decoding process, which has limited memory."""

import resource
from collections.abc import Mapping
from typing import Any

from server.pictures import drawing
from server.workers.wire import Channel

MOST_MEMORY = 3 * 2**30
"""The most bytes of address space."""


def serve(channel: Channel) -> None:
    """Answer requests until the server is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while (frame := channel.receive()) is not None:
        try:
            data = _draw(frame.body)
        except Exception as error:  # noqa: BLE001 - decoders raise anything; it is the reply
            channel.send({"error": str(error) or type(error).__name__})
        else:
            channel.send({}, data)


def _draw(body: Mapping[str, Any]) -> bytes:
    match body["op"]:
        case "preview":
            return drawing.preview(body["path"], body["format"], body["quality"], body["channel"])
        case "channel":
            return drawing.channel(body["path"], body["channel"])
        case "mask":
            return drawing.apply_mask(body["path"], body["mask"])
        case unknown:
            message = f"unknown operation {unknown!r}"
            raise ValueError(message)
