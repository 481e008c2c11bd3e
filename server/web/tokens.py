"""Tokens and their owners: the name of a token owns the runs that were submitted with it."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from nodegraph.errors import SettingsError
from nodegraph.graph.json_values import is_object

SHORTEST = 16
"""The least characters of a token; shorter ones can be guessed."""
NOBODY = ""
"""The owner of all runs where tokens have no names, or there are no tokens."""
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,63})\s*:\s*(\S+)", re.ASCII)
_TOKEN = re.compile(r"[!-~]+", re.ASCII)
_COOKIE = b"nodegraph cookie 1"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that let clients in, by owner; without tokens, all clients are let in.

    Raises:
        SettingsError: a token is too short or has unusual characters, or two are the same.
    """

    by_owner: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def __post_init__(self) -> None:
        for token in self.by_owner.values():
            if len(token) < SHORTEST or not _TOKEN.fullmatch(token):
                message = f"a token has to be {SHORTEST} visible ASCII characters or more."
                raise SettingsError(message)
        if len(set(self.by_owner.values())) < len(self.by_owner):
            message = "two names have the same token."
            raise SettingsError(message)
        if len({name.lower() for name in self.by_owner}) < len(self.by_owner):
            message = "two tokens have names that differ in upper and lower case only."
            raise SettingsError(message)

    def __bool__(self) -> bool:
        return bool(self.by_owner)

    def owner(self, given: str) -> str | None:
        """Return the owner of a token; None if it is wrong. Takes the same time in any case."""
        return _owner_of_secret(given, self.by_owner.items())

    def cookie_owner(self, given: str) -> str | None:
        """Return the owner of a cookie; None if it is wrong."""
        return _owner_of_secret(
            given, ((name, cookie(token)) for name, token in self.by_owner.items())
        )


def cookie(token: str) -> str:
    """Return a cookie that proves that the browser had the token, but does not contain it."""
    return hmac.new(token.encode(), _COOKIE, hashlib.sha256).hexdigest()


def read_tokens(path: Path) -> Tokens:
    """Read the tokens of a file: a single one, lines of `name: token`, or a JSON object of these.

    Raises:
        SettingsError: the file holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"the token file {path} cannot be read: {error}."
        raise SettingsError(message) from error
    if text.startswith("{"):
        return Tokens(_from_json(text))
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) == 1 and not _NAMED.fullmatch(lines[0]):
        return Tokens({NOBODY: lines[0]})
    return Tokens(_from_lines(lines))


def _owner_of_secret(given: str, secrets: Iterable[tuple[str, str]]) -> str | None:
    """Return the owner of a secret; compares with all of them, each in constant time."""
    found = None
    sent = given.encode(errors="replace")
    for owner, secret in secrets:
        if hmac.compare_digest(sent, secret.encode()):
            found = owner
    return found


def _from_lines(lines: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        named = _NAMED.fullmatch(line)
        if named is None or named[1] in found:
            _refuse(f"entry {number} is not `name: token`, or its name is there twice")
        found[named[1]] = named[2]
    if not found:
        _refuse("it is empty")
    return found


def _from_json(text: str) -> dict[str, str]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not is_object(value) or not all(isinstance(item, str) for item in value.values()):
        _refuse("it is not a JSON object of strings")
    return _from_lines(f"{name}: {token}" for name, token in value.items())


def _refuse(reason: str) -> NoReturn:
    """Raise an error that quotes nothing of the file."""
    message = f"the token file holds no tokens: {reason}."
    hint = "Write one token, or lines of `name: token`; names have letters, digits, - and _."
    raise SettingsError(message, hint=hint)
