"""Signatures by which a receiver knows us: https://www.standardwebhooks.com, version 1."""

import base64
import hmac
import os
import secrets
from pathlib import Path

from nodegraph.errors import SettingsError

_PREFIX = "whsec_"
_SHORTEST = 16


class Signer:
    """Signs with a secret that the receiver knows too.

    Args:
        secret: `whsec_` and base64 of at least 16 bytes.

    Raises:
        SettingsError: it is something else.
    """

    def __init__(self, secret: str) -> None:
        try:
            self._key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except ValueError:
            self._key = b""
        if len(self._key) < _SHORTEST:
            message = "webhook_secret is no base64 of at least 16 bytes."
            raise SettingsError(message, hint=f"For example {made()}.")

    def headers(self, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
        """The headers of a message that is sent now.

        Args:
            message_id: the same each time that the message is sent.
            seconds: since 1970.
            body: what is sent.
        """
        signed = b".".join((message_id.encode(), str(seconds).encode(), body))
        digest = hmac.digest(self._key, signed, "sha256")
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }


def made() -> str:
    """A new secret."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def kept_in(file: Path) -> str:
    """The secret in a file, which only its owner can read; made if it is not there."""
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:  # noqa: PTH123 - with a mode
            new.write(f"{made()}\n")
    except FileExistsError:
        pass
    return file.read_text(encoding="utf-8").strip()
