"""Where a user's caches and data lie when no setting says otherwise."""

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """For what can be made again: snapshots of packs, hashes, temporary images."""
    return _folder(environment, "XDG_CACHE_HOME", ".cache")


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """For what is the user's own: models, inputs, results."""
    return _folder(environment, "XDG_DATA_HOME", ".local/share")


def hub_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the hub's own client keeps what it downloads, which other programs share."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(variable):
            return Path(environment[variable]).expanduser()
    home = environment.get("HF_HOME")
    cache = Path(environment.get("XDG_CACHE_HOME") or _home() / ".cache")
    return (Path(home).expanduser() if home else cache / "huggingface") / "hub"


def _folder(environment: Mapping[str, str], variable: str, below_home: str) -> Path:
    given = environment.get(variable) or environment.get("LOCALAPPDATA", "")
    return (Path(given) if given else _home() / below_home) / "nodegraph"


def _home() -> Path:
    """The user's folder; for a user without one, as containers have, one in the temp folder."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.environ.get("TMPDIR", "/tmp")) / f"nodegraph-{os.getuid()}"
