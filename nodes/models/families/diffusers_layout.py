"""Files and folders in diffusers' layout, read as if they had the original one.

Each network has its own names there. The families' key tables, run backwards, give the name and
the shape of each tensor in the original layout, so that the code that recognises and reads models
knows one layout only. `Header.own` has the true names of the weights.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nodes.models.families.base.encoder_keys import clip_table, own_clip_key
from nodes.models.families.base.language_models import (
    has_other_root,
    language_model_names,
    language_model_of,
    language_table,
    own_language_key,
)
from nodes.models.families.base.spec import Family, Layout, Part
from nodes.models.families.base.vaes.flux2_vae import MARK as FLUX2_MARK
from nodes.models.families.base.vaes.flux2_vae import PART as FLUX2_VAE
from nodes.models.families.base.vaes.qwen21_vae import OWN_MARK as QWEN21_MARK
from nodes.models.families.base.vaes.qwen21_vae import PART as QWEN21_VAE
from nodes.models.families.base.vaes.vae import PART as VAE
from nodes.models.families.base.vaes.wan_vae import OWN_MARK as WAN_MARK
from nodes.models.families.base.vaes.wan_vae import PART as WAN_VAE
from nodes.models.families.errors import UnknownFamilyError
from nodes.models.families.registry import families
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source
from nodes.models.weights.sharded import is_folder, part_header, read_json, read_weights
from nodes.models.weights.tensor_info import TensorInfo

_VAE_MARK = "decoder.up_blocks.0.resnets.0.conv1.weight"
_CLIP_MARK = "embeddings.token_embedding.weight"
_CLIP = Part("clip", "", clip_table, own_clip_key)
_LANGUAGE = Part("language model", "", language_table, own_language_key)
_CLIP_VOCABULARY = 49408
"""The size of CLIP's own vocabulary."""


def read_model(path: Path) -> Header:
    """Read the header of a checkpoint, or of a model, VAE or text encoder alone, in any layout.

    Args:
        path: a file, one of several shards, or a diffusers folder.

    Raises:
        UnknownFamilyError: it is a folder of no family that is known here.
        NodeGraphError: a file is damaged, missing, or of another format.
    """
    if is_folder(path):
        return _read_folder(path)
    header = read_weights(path)
    part = _lone_part(header)
    return _in_original_layout(header, part) if part else header


def _lone_part(header: Header) -> Part | None:
    """Return the network whose own names a file has; None if it has the original names."""
    for layout in (layout for family in families() for layout in family.layouts):
        if layout.mark in header:
            return next(iter(layout.parts.values()))
    if _VAE_MARK in header:
        marks = {QWEN21_MARK: QWEN21_VAE, WAN_MARK: WAN_VAE, FLUX2_MARK: FLUX2_VAE}
        return next((part for mark, part in marks.items() if mark in header), VAE)
    if has_other_root(header):
        return _LANGUAGE
    return _CLIP if _CLIP_MARK in header else None


def _read_folder(path: Path) -> Header:
    family, denoiser = _denoiser(path)
    layout = _layout(family, path)
    home, *names = layout.parts
    places = {name: f"{home}/{start}" for name, start in layout.modules.items()}
    read = ((part_header(path, name), name) for name in names)
    found = [
        denoiser,
        *(
            _part(own, places.get(name, f"{name}/"), layout.parts[name])
            for own, name in read
            if own
        ),
    ]
    inner = set(places.values())  # of modules of the denoiser, which is read as one
    tensors: dict[str, TensorInfo] = {}
    own: dict[str, str] = {}
    configs: dict[str, object] = {}
    for header in found:
        tensors |= header.tensors
        own |= {part: place for part, place in header.own.items() if place not in inner}
        configs |= json.loads(header.metadata["config"])
    schedule = read_json(path, "scheduler/scheduler_config.json")
    if schedule.get("rescale_betas_zero_snr"):
        tensors["ztsnr"] = TensorInfo("F32", (0,))
    metadata = {
        "config": json.dumps(configs),
        **_prediction_metadata(schedule),
        **_statistics(configs, schedule),
        **_tokenizer(path, configs),
    }
    return Header(path, tensors, metadata, own)


def _denoiser(path: Path) -> tuple[Family, Header]:
    """Return the family of a folder, and the header of its denoiser."""
    seen = ""
    for family in families():
        layout = family.layouts[0]
        name, part = next(iter(layout.parts.items()))
        own = part_header(path, name)
        seen = own.summary if own else seen
        if own and layout.mark in own:
            header = _part(own, f"{name}/", part)
            if family.recognises(header):
                return family, header
    known = [family.title for family in families()]
    raise UnknownFamilyError(path, seen or "no unet, no transformer", known)


def _layout(family: Family, path: Path) -> Layout:
    """Return the family's layout with the folder's text encoders, else the first."""
    there = {place.name for place in path.glob("text_encoder*") if place.is_dir()}
    found = [one for one in family.layouts if set(one.text) == there]
    if len(found) > 1:
        headers = {name: part_header(path, name) for name in there}
        found = [one for one in found if _has_names(one, headers)] or found
    return (*found, *family.layouts)[0]


def _has_names(layout: Layout, headers: Mapping[str, Header | None]) -> bool:
    """Return True if language models of the layout's names and sizes are in the folders."""
    return all(
        part.name in language_model_names(_in_original_layout(header, part), part.prefix)
        for name, part in layout.text.items()
        if (header := headers[name])
    )


def _part(own: Header, place: str, part: Part) -> Header:
    """Return the header of one part, whose own names get a prefix."""
    config = json.dumps({part.name: _with_text(json.loads(own.metadata["config"]))})
    return replace(_in_original_layout(own, part, place), metadata={"config": config})


def _with_text(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the entries of its language model, beside a vision encoder's."""
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else dict(config)


def _in_original_layout(header: Header, part: Part, prefix: str = "") -> Header:
    """Add the original layout's names of one network; its own names get a prefix."""
    named = [(part.own(key), key, info) for key, info in header.tensors.items()]
    own = {mine: info for mine, _, info in named if mine}
    others = {prefix + key: info for mine, key, info in named if not mine}
    try:
        table = part.table(own, part.prefix)
    except (KeyError, ValueError) as error:  # a layer that no table lists, or no blocks at all
        titles = [family.title for family in families()]
        raise UnknownFamilyError(header.path, header.summary, titles) from error
    tensors = others | {prefix + key: info for key, info in own.items()}
    for key, source in table.items():
        before = tensors.get(source.key) if source.slots > 1 else None
        shape = _original_shape(source, own[key].shape)
        if before:
            shape = (before.shape[0] + shape[0], *shape[1:])
        tensors[source.key] = replace(before or own[key], shape=shape)
    return replace(header, tensors=tensors, own={part.prefix: prefix})


def _original_shape(source: Source, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a tensor's shape in the original layout."""
    if source.op == "conv1x1":
        return (*shape, 1, 1)
    if source.op == "frame":
        return (*shape[:2], 1, *shape[2:])
    if source.op == "sixths":
        return (math.prod(shape),)
    return shape[::-1] if source.op == "transpose" else shape


def _prediction_metadata(schedule: Mapping[str, object]) -> dict[str, str]:
    """Return the network's prediction type as metadata, if the scheduler has it."""
    prediction = schedule.get("prediction_type")
    return {"modelspec.prediction_type": prediction} if isinstance(prediction, str) else {}


def _statistics(configs: Mapping[str, Any], schedule: Mapping[str, object]) -> dict[str, str]:
    """Return the mean and deviation that Playground 2.5 normalizes its latents with."""
    if "EDM" not in str(schedule.get("_class_name")):
        return {}
    vae = configs.get("vae", {})
    names = {"edm_mean": "latents_mean", "edm_std": "latents_std"}
    return {key: json.dumps(vae[name]) for key, name in names.items() if vae.get(name)}


def _tokenizer(path: Path, configs: Mapping[str, Any]) -> dict[str, str]:
    """Return the folder's vocabulary as metadata, if it is not that of all of its kind.

    The size of an encoder's vocabulary tells.
    """
    known = {name: _vocabulary(name) for name in configs}
    files = {"vocab": path / "tokenizer/vocab.json", "merges": path / "tokenizer/merges.txt"}
    usual = all(
        configs[name].get("vocab_size", size) == size for name, size in known.items() if size
    )
    if usual or not all(map(Path.is_file, files.values())):
        return {}
    return {f"tokenizer.{name}": file.read_text("utf-8") for name, file in files.items()}


def _vocabulary(name: str) -> int | None:
    """Return the size of the vocabulary that all encoders of a name have; None for T5 and others.

    An encoder with any other has a tokenizer of its own.
    """
    if "clip" in name:
        return _CLIP_VOCABULARY
    record = language_model_of(name)
    return record.vocabulary if record else None
