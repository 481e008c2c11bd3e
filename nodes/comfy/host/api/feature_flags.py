"""`comfy_api.feature_flags`: the abilities that a client and the server tell each other of.

The server keeps those of its clients; packs, which run in a worker, see none of a client.
"""

from collections.abc import Mapping
from typing import Any


def get_connection_feature(
    sockets_metadata: Mapping[str, Mapping[str, Any]],
    sid: str | None,
    feature_name: str,
    default: Any = False,
) -> Any:
    """Return the value of a client's ability."""
    flags = sockets_metadata.get(sid or "", {}).get("feature_flags", {})
    return flags.get(feature_name, default)


def supports_feature(
    sockets_metadata: Mapping[str, Mapping[str, Any]], sid: str | None, feature_name: str
) -> bool:
    """Return True if a client has an ability."""
    return get_connection_feature(sockets_metadata, sid, feature_name) is True


def get_server_features() -> dict[str, Any]:
    """Return the server's abilities."""
    return {"supports_preview_metadata": True}
