"""Where a user's caches and data lie when no setting says otherwise."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

_NAME = "nodegraph"


def cache_folder() -> Path:
    """For what can be made again: snapshots of packs, hashes, temporary images."""
    return _of_user(lambda: user_cache_path(_NAME, appauthor=False), "cache")


def data_folder() -> Path:
    """For what is the user's own: models, inputs, results."""
    return _of_user(lambda: user_data_path(_NAME, appauthor=False), "data")


def hub_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the hub's own client keeps what it downloads, which other programs share."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(variable):
            return Path(environment[variable]).expanduser()
    home = environment.get("HF_HOME")
    cache = Path(environment.get("XDG_CACHE_HOME") or _of_user(Path.home, "home") / ".cache")
    return (Path(home).expanduser() if home else cache / "huggingface") / "hub"


def _of_user(find: Callable[[], Path], name: str) -> Path:
    """A folder of the user; for a user without one, as containers have, one in the temp folder."""
    try:
        return find()
    except RuntimeError:
        return Path(os.environ.get("TMPDIR", "/tmp")) / f"{_NAME}-{os.getuid()}" / name
