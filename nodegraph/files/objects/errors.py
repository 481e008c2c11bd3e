"""Errors of an object store: those that pass are told from those that stay."""

import re

from nodegraph.errors import ObjectStoreError
from nodegraph.files.objects.address import ObjectAddress

EXTRA = "pip install 'nodegraph[s3]'"
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_REASONS = {
    "NoSuchBucket": "there is no such bucket",
    "ContainerNotFound": "there is no such container",
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "AuthenticationFailed": "the key is wrong",
    "AccessDenied": "these credentials may not do that",
    "ExpiredToken": "the session token has expired",
}
_REFUSALS = ("PermissionDeniedError", "UnauthenticatedError")
_KINDS = {
    **dict.fromkeys(_REFUSALS, "these credentials may not do that"),
    "FileNotFoundError": "there is no such bucket or container",
}
"""Reasons by the name of the library's error."""
_FATAL = ("NoSuchBucket", "ContainerNotFound")
_IDENTITY = ("169.254.169.254", "169.254.170.2")
"""Where instances ask for their credentials, if nothing else has given any."""
_CREDENTIALS = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role that may"
    " read and write there.",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or give the machine an"
    " identity that may read and write there.",
}


def is_lasting(error: Exception) -> bool:
    """Say if an error stays however often the request is sent again."""
    if type(error).__name__ != "GenericError":
        return True
    text = str(error)
    if _asks_identity(text):
        return True
    code, status = _code(text), _status(text)
    return code in _FATAL or (status is not None and 400 <= status < 500 and status not in _RETRIED)


_RETRIED = (408, 409, 425, 429)
"""Refusals that are of the moment: a timeout, a conflict, too many requests."""


def store_error(address: ObjectAddress, error: Exception) -> ObjectStoreError:
    """Return our error for one of the object store's library; it tells no credentials."""
    return ObjectStoreError(str(address), _reason(error), hint=_hint(address, error))


def _reason(error: Exception) -> str:
    text, code = str(error), _code(str(error))
    answer = " ".join(part for part in (str(_status(text) or ""), code) if part)
    if _asks_identity(text):
        return "there are no credentials"
    if code in _REASONS:
        return _REASONS[code]
    if answer:
        return f"it answers {answer}"
    return _KINDS.get(type(error).__name__) or _silence(text)


def _silence(text: str) -> str:
    """Return the reason for no answer at all."""
    told = text.partition("Debug source")[0]
    if "timed out" in told or "timeout" in told.partition("retry_timeout")[0]:
        return "it does not answer in time"
    return "it can not be reached" if "HTTP error" in told else told.partition("\n")[0][:200]


def _asks_identity(text: str) -> bool:
    return any(place in text for place in _IDENTITY)


def _hint(address: ObjectAddress, error: Exception) -> str:
    text, code = str(error), _code(str(error))
    if code in _FATAL or isinstance(error, FileNotFoundError):
        return f"Create {address.container!r}, or correct the address."
    if type(error).__name__ in _REFUSALS or _status(text) in (401, 403) or _asks_identity(text):
        return _CREDENTIALS[address.scheme]
    return "Is its address right (object_endpoint), and is it up?"


def _code(text: str) -> str:
    found = _CODE.search(text)
    return found[1] if found else ""


def _status(text: str) -> int | None:
    found = _STATUS.search(text)
    return int(found[1]) if found else None
