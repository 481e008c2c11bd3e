"""Signatures of webhooks: https://www.standardwebhooks.com, version 1."""

import base64
import hmac
import os
import secrets
from pathlib import Path

from nodegraph.errors import SettingsError

_PREFIX = "whsec_"
_SHORTEST = 16


class Signer:
    """Signs messages with a secret that the receiver knows too.

    Args:
        secret: `whsec_` and base64 of at least 16 bytes.

    Raises:
        SettingsError: the secret is something else.
    """

    def __init__(self, secret: str) -> None:
        try:
            self._key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except ValueError:
            self._key = b""
        if len(self._key) < _SHORTEST:
            message = "webhook_secret is not base64 of at least 16 bytes."
            raise SettingsError(message, hint=f"For example {new_secret()}.")

    def headers(self, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
        """Return the headers of a message.

        Args:
            message_id: the id, the same at every attempt.
            seconds: the time of sending, since 1970.
            body: the message.
        """
        signed = b".".join((message_id.encode(), str(seconds).encode(), body))
        digest = hmac.digest(self._key, signed, "sha256")
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }


def new_secret() -> str:
    """Return a new secret."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def read_or_create_secret(file: Path) -> str:
    """Return the secret in a file; if it is missing, create it, readable by its owner only."""
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:  # noqa: PTH123 - with a mode
            new.write(f"{new_secret()}\n")
    except FileExistsError:
        pass
    return file.read_text(encoding="utf-8").strip()
