"""Weights in several files: shards, and the folders that diffusers writes.

A diffusers folder has a `model_index.json`, and a folder for each network with its
`config.json` and its weights, which have the network's own names
(https://huggingface.co/docs/diffusers/using-diffusers/other-formats).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from nodegraph.files.references import INDEX
from nodegraph.files.shards import one_set, shards_of
from nodes.models.weights.errors import BadMetadataError, MissingShardError, NoFolderWeightsError
from nodes.models.weights.header import Header, read_headers

_WEIGHTS = ("diffusion_pytorch_model", "model")


def read_weights(path: Path) -> Header:
    """Read the header of a file, or of all the shards that it is one of.

    Raises:
        MissingShardError: one of them is not there.
        NodeGraphError: one of them is damaged or of another format.
    """
    shards = shards_of(path)
    missing = [file.name for file in shards if not file.is_file()]
    if missing:
        raise MissingShardError(path, missing)
    return read_headers(path, shards)


def part_header(folder: Path, part: str) -> Header | None:
    """Return the header of one part of a diffusers folder; None if it lacks this part.

    The header's metadata has the part's `config.json` as `config`.

    Raises:
        NoFolderWeightsError: the part is there, but without weights that are read here.
        BadMetadataError: its configuration is not a JSON object.
        NodeGraphError: a file is damaged or of another format.
    """
    place = folder / part
    if not place.is_dir():
        return None
    names = [file.name for file in place.iterdir() if file.is_file()]
    chosen = one_set([name for name in names if name.startswith(_WEIGHTS)])
    if not chosen:
        raise NoFolderWeightsError(folder, part)
    config = json.dumps(read_json(folder, f"{part}/config.json"))
    return replace(read_weights(place / chosen[0]), metadata={"config": config})


def is_folder(path: Path) -> bool:
    """Return True for a folder as diffusers writes it."""
    return (path / INDEX).is_file()


def read_json(folder: Path, name: str) -> Mapping[str, Any]:
    """Return the JSON object in a small file of a folder; empty if it is not there.

    Raises:
        BadMetadataError: it is something else.
    """
    try:
        found: object = json.loads((folder / name).read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise BadMetadataError(folder, f"file {name} is not JSON") from error
    if not isinstance(found, dict):
        raise BadMetadataError(folder, f"file {name} is not a JSON object")
    return cast("dict[str, Any]", found)
