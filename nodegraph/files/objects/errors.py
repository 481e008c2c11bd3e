"""Errors of an object store: those that pass are told from those that stay."""

import re

from nodegraph.errors import ObjectStoreError
from nodegraph.files.objects.address import ObjectAddress

EXTRA = "pip install 'nodegraph[s3]'"
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_PREAMBLE = re.compile(r"Generic \w+ error: (Error performing .* - )?")
_QUERY = re.compile(r"\?\S*")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_RIGHTS = "these credentials may not do that"
_CLOCK = "the clock of this machine is wrong"
_FULL = "it is full"
_LARGE = "the file is too large for it"
_NO_SIGNING = "a SAS key can not sign addresses"
_REASONS = {
    "NoSuchBucket": "there is no such bucket",
    "ContainerNotFound": "there is no such container",
    "ContainerBeingDeleted": "the container is being deleted",
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "AuthenticationFailed": "the key is wrong",
    "AuthorizationFailure": "the key is wrong, or this machine may not ask it",
    "AuthorizationPermissionMismatch": _RIGHTS,
    "AccessDenied": _RIGHTS,
    "ExpiredToken": "the session token has expired",
    "RequestTimeTooSkewed": _CLOCK,
    "EntityTooLarge": _LARGE,
    "RequestBodyTooLarge": _LARGE,
    "QuotaExceeded": _FULL,
}
_STATUSES = {413: _LARGE, 507: _FULL}
_HINTS = {
    _CLOCK: "Set it, best by NTP.",
    _FULL: "Make room there, or set another folder.",
    _LARGE: "Save smaller files, or set another folder.",
    _NO_SIGNING: "Use the account's key or an identity, or leave server.signed_urls out.",
}
_REFUSALS = ("PermissionDeniedError", "UnauthenticatedError")
_KINDS = {
    **dict.fromkeys(_REFUSALS, _RIGHTS),
    "FileNotFoundError": "there is no such bucket or container",
}
"""Reasons by the name of the library's error."""
_FATAL = ("NoSuchBucket", "ContainerNotFound")
_IDENTITY = ("169.254.169.254", "169.254.170.2")
"""Where instances ask for their credentials, if nothing else has given any."""
_CREDENTIALS = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role that may"
    " read and write there.",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_KEY,"
    " or give the machine an identity that may read and write there.",
}


def is_lasting(error: Exception) -> bool:
    """Say if an error stays however often the request is sent again."""
    if type(error).__name__ not in _OF_THE_MOMENT:
        return True
    text = str(error)
    if _asks_identity(text) or _can_not_sign(text):
        return True
    code, status = _code(text), _status(text)
    return code in _FATAL or (status is not None and 400 <= status < 500 and status not in _RETRIED)


_OF_THE_MOMENT = ("GenericError", "AlreadyExistsError")
"""The library's errors that may pass; the second one is for every conflict."""
_RETRIED = (408, 409, 425, 429)
"""Refusals that are of the moment: a timeout, a conflict, too many requests."""


def store_error(address: ObjectAddress, error: Exception) -> ObjectStoreError:
    """Return our error for one of the object store's library; it tells no credentials."""
    return ObjectStoreError(str(address), _reason(error), hint=_hint(address, error))


def _reason(error: Exception) -> str:
    text, code, status = str(error), _code(str(error)), _status(str(error))
    for applies, reason in (
        (_asks_identity(text), "there are no credentials"),
        (_can_not_sign(text), _NO_SIGNING),
        ("date header" in text, _CLOCK),  # Azure has no code for it
        (code in _REASONS, _REASONS.get(code, "")),
        (status in _STATUSES, _STATUSES.get(status or 0, "")),
        (code or status, f"it answers {status or ''} {code}".strip().replace("  ", " ")),
    ):
        if applies:
            return reason
    return _KINDS.get(type(error).__name__) or _silence(text)


def _silence(text: str) -> str:
    """Return the reason for no answer at all; addresses without what may sign them."""
    told = text.partition("\n")[0]
    if "kind: Timeout" in text or "timed out" in told:
        return "it does not answer in time"
    if "HTTP error" in told:
        return "it can not be reached"
    return _QUERY.sub("", _PREAMBLE.sub("", told))[:200]


def _asks_identity(text: str) -> bool:
    return any(place in text for place in _IDENTITY)


def _can_not_sign(text: str) -> bool:
    return "SAS tokens auth is not supported" in text


def _hint(address: ObjectAddress, error: Exception) -> str:
    text, code, reason = str(error), _code(str(error)), _reason(error)
    if reason in _HINTS:
        return _HINTS[reason]
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
