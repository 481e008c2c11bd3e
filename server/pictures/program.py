"""The process that decodes: does one thing after the other, with little memory."""

import resource
from collections.abc import Mapping
from typing import Any

from server.pictures import drawing
from server.wire import Channel

MOST_MEMORY = 3 * 2**30
"""Bytes of address space."""


def serve(channel: Channel) -> None:
    """Do what is asked until the other side is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while (frame := channel.receive()) is not None:
        try:
            data = _drawn(frame.body)
        except Exception as error:  # noqa: BLE001 - decoders raise anything; the asker is told
            channel.send({"error": str(error) or type(error).__name__})
        else:
            channel.send({}, data)


def _drawn(body: Mapping[str, Any]) -> bytes:
    match body["op"]:
        case "preview":
            return drawing.preview(body["path"], body["format"], body["quality"], body["channel"])
        case "channel":
            return drawing.channel(body["path"], body["channel"])
        case "mask":
            return drawing.masked(body["path"], body["mask"])
        case unknown:
            message = f"{unknown!r} means nothing"
            raise ValueError(message)
