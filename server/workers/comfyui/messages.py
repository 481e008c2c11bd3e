"""The messages that a ComfyUI server sends over its WebSocket, read from its frames."""

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodegraph.graph.json_values import is_object

PREVIEW, PREVIEW_WITH_METADATA = 1, 4
"""Kinds of binary frames."""
_MIMES = {1: "image/jpeg", 2: "image/png"}
_SIGNATURES = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}
_WORD = 4
"""The bytes of a number in a frame."""


_OWN_NAMES = (
    *("status", "feature_flags", "logs", "progress", "progress_state", "executing", "executed"),
    *("execution_start", "execution_cached", "execution_success", "execution_error"),
    *("execution_interrupted", "preview", "notification", "assets"),
)
"""The messages of the server itself; all others are of packs."""
_PACK_NAME = re.compile(r"[\w .:/-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ComfyMessage:
    """A message about a prompt."""

    name: str
    """`execution_start`, `executing`, `progress`, `executed`, …; `preview` for a picture."""
    prompt: str
    """The prompt's id; empty if the message does not say it."""
    data: Mapping[str, Any]
    payload: bytes = b""

    @property
    def transient(self) -> bool:
        """True if a slow reader may go without it."""
        return self.name in ("progress", "progress_state", "preview") or self.is_of_pack

    @property
    def is_of_pack(self) -> bool:
        """True if a pack sent it to its scripts in the editor."""
        return self.name not in _OWN_NAMES and bool(_PACK_NAME.fullmatch(self.name))

    def text(self, key: str) -> str:
        """Return a text of its data; empty if there is none."""
        value = self.data.get(key)
        return value if isinstance(value, str) else ""


def read_text(text: str) -> ComfyMessage | None:
    """Read a text frame: `{"type": …, "data": {…}}`; None if it is something else."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    data = value.get("data") if is_object(value) else None
    if not is_object(value) or not isinstance(value.get("type"), str) or not is_object(data):
        return None
    prompt = data.get("prompt_id")
    return ComfyMessage(str(value["type"]), prompt if isinstance(prompt, str) else "", data)


def read_binary(frame: bytes) -> ComfyMessage | None:
    """Read a binary frame: a preview, as JPEG or PNG; None if it is something else."""
    head, rest = frame[: 2 * _WORD], frame[2 * _WORD :]
    kind, number = struct.unpack(">II", head) if len(head) == 2 * _WORD else (0, 0)
    if kind == PREVIEW:
        return _preview({}, _MIMES.get(number, ""), rest)
    if kind != PREVIEW_WITH_METADATA:
        return None
    facts = _facts(rest[:number])
    return _preview(facts, str(facts.get("image_type", "")), rest[number:])


def _facts(data: bytes) -> Mapping[str, Any]:
    """Return the facts before a picture; none if they can not be read."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if is_object(value) else {}


def _preview(facts: Mapping[str, Any], mime: str, image: bytes) -> ComfyMessage | None:
    """Return the message with a picture, unless the bytes are none of the kind they claim."""
    signature = _SIGNATURES.get(mime)
    if signature is None or not image.startswith(signature):
        return None
    prompt = facts.get("prompt_id")
    about = {**facts, "mime": mime}
    return ComfyMessage("preview", prompt if isinstance(prompt, str) else "", about, image)
