"""Checks a compose file: the parser of the Compose specification, and that names in it exist."""

# pyright: reportMissingImports=false

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from compose_spec import PyCompose

SAFE = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
"""What the server's own container has."""
ADDRESS_AND_PORTS = 2
"""The colons of `127.0.0.1:8188:8188`."""
_VARIABLE = re.compile(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)?\}")
"""`${NAME}`, `${NAME:-default}` and `${NAME:?message}`, which compose replaces before it reads."""


def check_compose(path: Path) -> list[str]:
    """Return everything wrong with a compose file."""
    text = _VARIABLE.sub(lambda match: match[1] or "set", path.read_text())
    try:
        PyCompose.from_yaml(text)
    except ValueError as error:
        return [f"compose-spec: {error}"]
    tree = yaml.safe_load(text)
    return [
        *(
            finding
            for name, service in tree["services"].items()
            for finding in _service(name, service, tree)
        ),
        *_server(tree["services"]["server"]),
    ]


def _service(name: str, service: Mapping[str, Any], tree: Mapping[str, Any]) -> list[str]:
    services, volumes = tree["services"], tree.get("volumes", {})
    found = [
        f"{name}: waits for {other!r}, which is not there"
        for other in service.get("depends_on", ())
        if other not in services
    ]
    for mount in service.get("volumes", ()):
        source = mount["source"] if isinstance(mount, dict) else mount.split(":")[0]
        if source.isidentifier() and source not in volumes:
            found.append(f"{name}: the volume {source!r} is not declared")
    found += [
        f"{name}: the port {port!r} is open to every network"
        for port in service.get("ports", ())
        if port.count(":") < ADDRESS_AND_PORTS
    ]
    image = service.get("image", "")
    if ":" not in image or image.endswith(":latest"):
        found.append(f"{name}: the image {image!r} has no version")
    return found


def _server(server: Mapping[str, Any]) -> list[str]:
    if "build" in server and "ports" not in server:
        return []  # an overlay
    return [
        f"server: {key} is not {value}" for key, value in SAFE.items() if server.get(key) != value
    ]
