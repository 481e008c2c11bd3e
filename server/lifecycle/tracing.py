"""Opens the traces of a server, if the settings or OpenTelemetry's variables ask for some."""

import logging
import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from nodegraph.errors import SettingsError

if TYPE_CHECKING:
    from server.observability.tracing import Tracing

_log = logging.getLogger(__name__)
VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Variables of OpenTelemetry that name a collector."""
EXPORTER: Final = "OTEL_TRACES_EXPORTER"
"""The variable that is `none` if the collector gets no traces."""
_HINT: Final = "Install the extra: nodegraph[otel]."


def open_tracing(address: str) -> "Tracing | None":
    """Return the server's tracing; None if there is none.

    A cluster may set the variables for every program in it. So a server that lacks the packages
    does without traces then, and warns of it.

    Args:
        address: the collector's, of the settings; if empty, a variable may name one.

    Raises:
        SettingsError: the address or a variable is wrong, or the extra is not installed.
    """
    if not address and not _is_wanted():
        return None
    if address:
        _check(address)
    try:
        from server.observability.tracing import Tracing
    except ModuleNotFoundError as error:
        if address:
            message = f"server.traces needs the package {error.name}."
            raise SettingsError(message, hint=_HINT) from error
        name = next(name for name in VARIABLES if os.environ.get(name))
        text = "no traces: %s is set, but there is no package %s. %s"
        _log.warning(text, name, error.name, _HINT)
        return None
    try:
        return Tracing(address, version("nodegraph"))
    except ValueError as error:
        message = f"OpenTelemetry refuses one of its variables: {error}"
        raise SettingsError(message, hint="Look at those that begin with OTEL_.") from error


def _is_wanted() -> bool:
    """Return True if OpenTelemetry's variables ask for traces."""
    named = any(os.environ.get(name) for name in VARIABLES)
    return named and os.environ.get(EXPORTER) != "none"


def _check(address: str) -> None:
    """Raise unless it is an address that spans can be sent to."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = f"server.traces is {address!r}, which is no address of a collector."
        raise SettingsError(message, hint="For example http://127.0.0.1:4318 (OTLP over HTTP).")
