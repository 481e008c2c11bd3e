"""The configuration files that the original Stable Diffusion code had beside its checkpoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import yaml

from nodes.models.families.errors import BadConfigError

_PLACE = ("model", "params", "parameterization")


def predicts_v(path: Path) -> bool:
    """Return True if the file says that the model predicts v, and not the noise.

    Raises:
        BadConfigError: it is not YAML, or names another prediction.
    """
    try:
        found: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadConfigError(path, "it is not YAML") from error
    for name in _PLACE:
        found = cast("Mapping[str, object]", found).get(name) if isinstance(found, dict) else None
    if found not in (None, "eps", "v"):
        raise BadConfigError(path, f"its {'.'.join(_PLACE)} is {found!r}")
    return found == "v"
