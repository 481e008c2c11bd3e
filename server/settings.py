"""What of the settings the server makes sure of before it opens anything."""

import secrets
from dataclasses import replace

from nodegraph.errors import SettingsError
from nodegraph.server_settings import ServerSettings
from server.security import is_loopback


def secured(settings: ServerSettings) -> ServerSettings:
    """The settings with the token that their file holds.

    Raises:
        SettingsError: others could reach the server, and it has no token; or there are two, or
            the file has none.
    """
    if settings.token_file is not None:
        settings = replace(settings, token=_read(settings), token_file=None)
    if not is_loopback(settings.host) and not settings.token:
        message = f"--host {settings.host} lets other machines in, and needs a token."
        hint = f"For example --token {secrets.token_urlsafe(24)}, or --token-file."
        raise SettingsError(message, hint=hint)
    return settings


def _read(settings: ServerSettings) -> str:
    path = settings.token_file
    assert path is not None
    if settings.token:
        message = "both token and token_file are set."
        raise SettingsError(message, hint="Set one of them.")
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"the token file {path} cannot be read: {error}."
        raise SettingsError(message) from error
    if not token:
        message = f"the token file {path} is empty."
        raise SettingsError(message)
    return token
