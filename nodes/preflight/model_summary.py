"""The family and the dtypes of a model file, from its headers alone."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from nodegraph.errors import NodeGraphError
from nodegraph.files.references import INDEX
from nodegraph.files.shards import shards_of
from nodegraph.files.sources import ModelSummary
from nodes.models.families.diffusers_layout import read_model
from nodes.models.families.registry import families
from nodes.models.weights.header import Header, read_header

_FAMILY = ("family", "modelspec.architecture", "ss_base_model_version")
_WEIGHTS = (".safetensors", ".sft")


def summarize(path: Path) -> ModelSummary:
    """Read the headers of a weights file, of a set of shards or of a diffusers folder.

    Raises:
        NodeGraphError: a file is damaged, missing, or of another format.
    """
    headers = [read_header(file) for file in _weights(path)]
    dtypes = parameters_by_dtype(headers)
    order = sorted(dtypes, key=lambda dtype: -dtypes[dtype])
    return ModelSummary(family_title(path, headers), tuple(order), sum(dtypes.values()))


def parameters_by_dtype(headers: Iterable[Header]) -> dict[str, int]:
    """Return the number of parameters stored in each dtype, or in few bits in each format."""
    dtypes: dict[str, int] = {}
    for tensor in (tensor for header in headers for tensor in header.tensors.values()):
        dtypes[tensor.format] = dtypes.get(tensor.format, 0) + tensor.numel
    return dtypes


def family_title(path: Path, headers: Iterable[Header]) -> str:
    """Return the family whose files look like this one, or what the file says of itself.

    Raises:
        NodeGraphError: the file is damaged.
    """
    try:
        header = read_model(path)
    except NodeGraphError:
        if not path.is_dir():
            raise
        index: Mapping[str, object] = json.loads((path / INDEX).read_text(encoding="utf-8"))
        return str(index.get("_class_name", ""))
    seen = (family.title for family in families() if family.recognises(header))
    return next(seen, first_metadata(headers, _FAMILY))


def first_metadata(headers: Iterable[Header], keys: Iterable[str]) -> str:
    """Return the first entry of a header under one of the keys; empty if there is none."""
    wanted = list(keys)
    found = (header.metadata[key] for header in headers for key in wanted if key in header.metadata)
    return next(found, "")


def _weights(path: Path) -> list[Path]:
    if not path.is_dir():
        return shards_of(path)
    return [file for file in sorted(path.rglob("*")) if file.suffix in _WEIGHTS]
