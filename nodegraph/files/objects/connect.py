"""Opens an object store by its address; the credentials come from where its own tools look."""

import os
import re
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nodegraph.errors import SettingsError
from nodegraph.files.objects.address import ObjectAddress
from nodegraph.files.objects.errors import EXTRA

if TYPE_CHECKING:
    from obstore.store import AzureStore, S3Store

_REGION = "us-east-1"
_VARIABLES = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_ENDPOINT = re.compile(r"https?://([\w.-]+|\[[\da-f:]+\])(:\d{1,5})?(/[\w.~/-]*)?", re.ASCII)
"""The library panics at what is none."""


def open_store(
    address: ObjectAddress, endpoint: str, patience: float, longest: float
) -> "S3Store | AzureStore":
    """Open a bucket or container; nothing is asked yet.

    Args:
        address: names it.
        endpoint: the address of the service; if empty, that of the environment or its own.
        patience: the most seconds that the library itself tries a request for.
        longest: the most seconds that a request may take, however steadily its bytes come.

    Raises:
        SettingsError: the library is not installed, or a setting of it is wrong.
    """
    check_installed(address)
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, S3Store

    config: Any = {"endpoint": endpoint} if endpoint else {}
    named = _endpoint_of(address, endpoint)
    options: dict[str, Any] = {
        "client_options": {
            "connect_timeout": "5s",
            "read_timeout": "60s",
            "timeout": timedelta(seconds=longest),
            "allow_http": named.startswith("http://"),
        },
        "retry_config": {
            "max_retries": 3,
            "retry_timeout": timedelta(seconds=patience),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=2),
                "base": 2,
            },
        },
    }
    try:
        if address.scheme == "az":
            return AzureStore(address.container, config=config, **options)
        if not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
            config["region"] = _REGION
        return S3Store(address.container, config=config, **options)
    except (BaseError, ValueError) as error:
        told = str(error).partition("\n")[0]
        message = f"{address} can not be opened: {told.rstrip('.')}."
        raise SettingsError(message, hint="See docs/object-store.md for its settings.") from error


def check_installed(address: ObjectAddress) -> None:
    """Check that the library for object stores is there.

    Raises:
        SettingsError: it is not.
    """
    if find_spec("obstore") is None:
        message = f"{address} needs the package obstore, which is not installed."
        raise SettingsError(message, hint=EXTRA)


def _endpoint_of(address: ObjectAddress, given: str) -> str:
    """Return the address of the service that is named, or else nothing.

    Raises:
        SettingsError: it is none. The error does not repeat it, for it may have a password in it.
    """
    variables = _VARIABLES[address.scheme]
    named = {"object_endpoint": given} | {name: os.environ.get(name, "") for name in variables}
    setting, endpoint = next(((name, text) for name, text in named.items() if text), ("", ""))
    if endpoint and not _ENDPOINT.fullmatch(endpoint):
        message = f"{address} can not be opened: {setting} is no address of a service."
        raise SettingsError(message, hint="For example https://storage.example.org:9000.")
    return endpoint
