"""Checks of the settings that the server makes before it opens anything."""

import logging
import secrets
from pathlib import Path

from nodegraph.errors import SettingsError
from nodegraph.settings.server import ServerSettings
from server.web.security import is_loopback
from server.web.tokens import NOBODY, Tokens, read_tokens

_log = logging.getLogger(__name__)
_READABLE = 0o044


def tokens_of(settings: ServerSettings) -> Tokens:
    """Return the tokens that let clients in.

    Raises:
        SettingsError: other machines could reach the server without a token; or the settings
            have two tokens, or one that is not safe.
    """
    tokens = Tokens({NOBODY: settings.token}) if settings.token else Tokens()
    if settings.token_file is not None:
        tokens = _from_file(settings, settings.token_file)
    if not is_loopback(settings.host) and not tokens:
        message = f"--host {settings.host} lets other machines in, and needs a token."
        hint = f"For example --token {secrets.token_urlsafe(24)}, or --token-file."
        raise SettingsError(message, hint=hint)
    return tokens


def _from_file(settings: ServerSettings, path: Path) -> Tokens:
    if settings.token:
        message = "both token and token_file are set."
        raise SettingsError(message, hint="Set one of them.")
    tokens = read_tokens(path)
    if path.stat().st_mode & _READABLE:
        _log.warning("other users can read the token file %s; run chmod 600 on it", path)
    return tokens
