"""Metadata of saved images and latents: the workflow, and how the file was made."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from nodegraph.definition.context import Context
from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.files.folders import MODEL_FOLDERS, WEIGHTS
from nodegraph.files.references import MARK, SCHEME
from nodegraph.files.sources import Origin

_FOLDERS: Mapping[str, str] = {
    "ckpt_name": "checkpoints",
    "clip_name": "text_encoders",
    "control_net_name": "controlnet",
    "lora_name": "loras",
    "unet_name": "diffusion_models",
    "vae_name": "vae",
}
"""The model folders of well-known inputs; files of other inputs are looked for in all."""
_SEEDS = ("seed", "noise_seed")


def texts(ctx: Context) -> dict[str, str]:
    """Return the text chunks of an image, or the metadata of a latent: JSON by name.

    `prompt`, `workflow` and other entries of the editor are as in ComfyUI, and as they were sent.
    `nodegraph` says what made the file: `{"nodegraph": "0.1.0", "torch": "2.13.0", "models":
    {"checkpoints/a.safetensors": sha256}, "seeds": {"3.seed": 42}, "versions": {"KSampler":
    "1.0"}}`. A model of the hub is listed with its commit, and `licences` gives the licence of its
    repository.
    """
    chunks: dict[str, object] = {"prompt": ctx.prompt, **ctx.extra_pnginfo}
    # A context that the tests of a pack have made may be older than the versions.
    versions: Mapping[str, str] = getattr(ctx, "type_versions", {})
    more = {"versions": dict(versions)} if versions else {}
    chunks["nodegraph"] = provenance(ctx.prompt, ctx.files) | more
    return {key: json.dumps(value) for key, value in chunks.items()}


def provenance(prompt: Mapping[str, object], files: Files) -> dict[str, object]:
    """Return versions, the sha256 of every model file that the prompt names, and its seeds."""
    models: dict[str, str] = {}
    licences: dict[str, str] = {}
    seeds: dict[str, object] = {}
    for place, name, value in _literals(prompt):
        if name in _SEEDS and isinstance(value, int):
            seeds[f"{place}.{name}"] = value
        elif isinstance(value, str):
            models |= _identity(files, name, value.partition(MARK)[0])
            licences |= _licence(files, value)
    versions = {name: _version(name) for name in ("nodegraph", "torch")}
    optional = {"licences": licences} if licences else {}
    return {**versions, "models": models, **optional, "seeds": seeds}


def _literals(prompt: Mapping[str, object]) -> Iterator[tuple[str, str, object]]:
    for node_id, described in cast("Mapping[str, Mapping[str, Any]]", prompt).items():
        inputs: Mapping[str, object] = described["inputs"]
        for name, value in inputs.items():
            yield node_id, name, value


def _identity(files: Files, input_name: str, value: str) -> dict[str, str]:
    origin = _origin(files, value)
    if origin:
        return {str(origin.reference): files.identity(origin.path)}
    if not value.lower().endswith(WEIGHTS) or value.startswith(SCHEME):
        return {}
    known = _FOLDERS.get(input_name.rstrip("0123456789"))
    for folder in [known] if known else MODEL_FOLDERS:
        path = _find(files, folder, value)
        if path:
            return {f"{folder}/{value}": files.identity(path)}
    return {}


def _licence(files: Files, value: str) -> dict[str, str]:
    origin = _origin(files, value)
    return {str(origin.reference): origin.licence} if origin and origin.licence else {}


def _origin(files: Files, value: str) -> Origin | None:
    """Return a downloaded model's origin on a hub; nothing is fetched for it."""
    if not value.startswith(SCHEME):
        return None
    try:
        return files.models.origin("", value)
    except NodeGraphError:
        return None


def _find(files: Files, folder: str, name: str) -> Path | None:
    try:
        return files.models.source(folder, name)
    except NodeGraphError:
        return None


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a source tree that nobody installed
        return "unknown"
