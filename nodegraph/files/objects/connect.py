"""Opens an object store by its address; the credentials come from where its own tools look."""

import os
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nodegraph.errors import SettingsError
from nodegraph.files.objects.address import ObjectAddress
from nodegraph.files.objects.errors import EXTRA

if TYPE_CHECKING:
    from obstore.store import AzureStore, S3Store

_REGION = "us-east-1"
_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def open_store(address: ObjectAddress, endpoint: str, patience: float) -> "S3Store | AzureStore":
    """Open a bucket or container; nothing is asked yet.

    Args:
        address: names it.
        endpoint: the address of the service; if empty, that of the environment or its own.
        patience: the most seconds that the library itself tries a request for.

    Raises:
        SettingsError: the library is not installed, or a setting of it is wrong.
    """
    check_installed(address)
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, S3Store

    config: Any = {"endpoint": endpoint} if endpoint else {}
    options: dict[str, Any] = {
        "client_options": {
            "connect_timeout": "5s",
            "read_timeout": "60s",
            "timeout": "3h",
            "allow_http": _is_plain(address, endpoint),
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
        message = f"{address} can not be opened: {told}"
        raise SettingsError(message, hint="See docs/object-store.md for its settings.") from error


def check_installed(address: ObjectAddress) -> None:
    """Check that the library for object stores is there.

    Raises:
        SettingsError: it is not.
    """
    if find_spec("obstore") is None:
        message = f"{address} needs the package obstore, which is not installed."
        raise SettingsError(message, hint=EXTRA)


def _is_plain(address: ObjectAddress, endpoint: str) -> bool:
    """Say if the service is to be spoken to without TLS: its address says `http://`."""
    named = [os.environ.get(name, "") for name in _VARIABLES] if address.scheme == "s3" else []
    if address.scheme == "az":
        named = [os.environ.get("AZURE_STORAGE_ENDPOINT", ""), os.environ.get("AZURE_ENDPOINT", "")]
    return next((text for text in (endpoint, *named) if text), "").startswith("http://")
