"""A model, its text encoders and its VAE together, as one file of the original layout has them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from nodegraph.files.atomic import part_in
from nodegraph.runtime.model_pool import ModelPool
from nodes.models.export.errors import UnsavableError
from nodes.models.export.few_bits import quantise_layers
from nodes.models.export.tensors import export_tensors
from nodes.models.families.base.encoder_keys import lone_table
from nodes.models.families.base.language_models import plain_table
from nodes.models.families.base.language_vision import VISION
from nodes.models.families.base.spec import Part
from nodes.models.families.registry import layout_of
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.loading.network import Network, Patches
from nodes.models.loading.text_model import TextEncoder
from nodes.models.networks.factory import network_class
from nodes.models.weights.formats.layer_formats import Written
from nodes.models.weights.reader import TensorFiles
from nodes.models.weights.writer import chunks
from nodes.sampling.noise_schedule.parameterization import Discrete

_MARKERS = ("v_pred", "ztsnr", "edm_mean", "edm_std")
"""Keys of a checkpoint that tell how its model was trained."""
_CARRIED = ("edm_mean", "edm_std", "preview.rgb", "tokenizer.vocab", "tokenizer.merges")
_TEXT = "text_encoders."
"""The start of the keys of a tokenizer in a checkpoint."""
_ZERO_SNR = 1000.0
"""A model whose highest sigma is above this was trained with zero terminal SNR."""


def convert(path: Path, target: Path, quantise: Written | None = None) -> None:
    """Write a model in the original layout, with all that it has of text encoders and VAE.

    Weights keep their precision and every bit; GGUF's become float16.

    Args:
        path: a file, one of several shards, or a diffusers folder.
        target: the new file, which is there whole or not at all.
        quantise: the format in few bits for the linear layers in the blocks of large networks; see
            `nodes.models.export.few_bits`. None: none.

    Raises:
        NodeGraphError: the model is of no known family, damaged or incomplete.
        OSError: the file can not be written.
    """
    opened = open_checkpoint(path, str(path), ModelPool())
    model = ModelHandle(opened.model)
    clip = ClipHandle(opened.text) if opened.text.found else None
    vae = VaeHandle(opened.vae) if opened.vae.found else None
    tensors = checkpoint_tensors(model, clip, vae, quantise)
    data = chunks(tensors, file_metadata(model, clip, vae))
    target.parent.mkdir(parents=True, exist_ok=True)
    with part_in(target.parent, data) as part:
        part.replace(target)


def checkpoint_tensors(
    model: ModelHandle,
    clip: ClipHandle | None = None,
    vae: VaeHandle | None = None,
    quantise: Written | None = None,
) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint: every network in its family's layout, with its patches.

    Args:
        model: the denoiser.
        clip: its text encoders.
        vae: its VAE.
        quantise: a format in few bits; see `convert`.

    Raises:
        UnsavableError: the model's family does not have such a text encoder.
        MissingPartError: a handle has no network behind it.
        UnsavableError: the VAE has no file of its own.
    """
    network, family = model.model.network, model.model.spec.family
    encoders = clip.text.encoders if clip else ()
    layout = layout_of(family, [encoder.name for encoder in encoders])
    parts = {part.name: part for part in layout.parts.values()}
    home = network.header.path
    denoiser = next(iter(layout.parts.values()))
    tensors = _network_tensors(network, model.patches, denoiser, home, quantise)
    tensors |= _marker_tensors(model)
    for encoder in encoders:
        if encoder.name not in parts:
            raise UnsavableError(
                code="wrong_part",
                part=f"the text encoder {encoder.name}",
                reason=f"a checkpoint of the family {family} has no place for it",
                hint="Save it in a file of its own with CLIPSave.",
            )
        patches = clip.by_encoder.get(encoder.name, ()) if clip else ()
        part = parts[encoder.name]
        tensors |= _network_tensors(encoder.network, patches, part, home, quantise)
        if encoder.vision:
            place = replace(part, prefix=part.prefix + VISION, table=plain_table)
            tensors |= _network_tensors(encoder.vision, (), place, home)
        tensors |= _tokenizer_tensors(encoder, _TEXT)
    if vae:
        own = _with_weights(vae)
        place = replace(parts["vae"], table=own.spec.table)
        tensors |= _network_tensors(own, (), place, home)
    return tensors


def encoder_tensors(clip: ClipHandle) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the name and the tensors of each text encoder, in transformers' layout.

    Raises:
        MissingPartError: there is none.
    """
    for encoder in clip.text.encoders:
        table = lone_table(encoder.network.spec.kind)
        patches = clip.by_encoder.get(encoder.name, ())
        tensors = export_tensors(encoder.network, patches, table, "")
        if encoder.vision:
            tensors |= export_tensors(encoder.vision, (), plain_table, VISION)
        yield encoder.name, tensors | _tokenizer_tensors(encoder, "")


def _tokenizer_tensors(encoder: TextEncoder, prefix: str) -> dict[str, Tensor]:
    """Return the tokenizer that the encoder's file brought along; none if it ships here."""
    rules = encoder.rules
    if not rules.vocabulary_tensor or rules.lacks_vocabulary:
        return {}
    data = bytearray(rules.vocabulary.encode("latin-1"))
    return {prefix + rules.vocabulary_tensor: torch.frombuffer(data, dtype=torch.uint8)}


def vae_tensors(vae: VaeHandle) -> dict[str, Tensor]:
    """Return the tensors of a VAE alone, without a prefix.

    Raises:
        MissingPartError: there is none.
        UnsavableError: it has no file of its own.
    """
    network = _with_weights(vae)
    return export_tensors(network, (), network.spec.table, "")


def file_metadata(
    model: ModelHandle | None = None, clip: ClipHandle | None = None, vae: VaeHandle | None = None
) -> dict[str, str]:
    """Return the metadata that a file of these parts needs, to be read as they were."""
    encoders = clip.text.encoders if clip else ()
    networks = [each for e in encoders for each in (e.network, e.vision) if each]
    networks += [vae.vae.network] if vae else []
    networks += [model.model.network] if model else []
    found: dict[str, str] = {}
    configs: dict[str, object] = {}
    for network in networks:
        metadata = network.header.metadata
        found |= {key: metadata[key] for key in _CARRIED if key in metadata}
        names = (network.spec.kind, network.spec.name)
        config = cast("dict[str, object]", json.loads(metadata.get("config", "{}")))
        configs |= {key: value for key, value in config.items() if key in names}
    if configs:
        found["config"] = json.dumps(configs)
    if model and isinstance(model.parameterization, Discrete):
        found["modelspec.prediction_type"] = model.parameterization.prediction
    return found


def _network_tensors(
    network: Network, patches: Patches, part: Part, home: Path, quantise: Written | None = None
) -> dict[str, Tensor]:
    """Return the tensors of a network: as the model's file has them, or as its family does."""
    spec = network.spec
    stays = network.header.path == home and spec.prefix and spec.prefix not in network.header.own
    table, prefix = (spec.table, spec.prefix) if stays else (part.table, part.prefix)
    tensors = export_tensors(network, patches, table, prefix)
    if quantise is None:
        return tensors
    return quantise_layers(network.spec, table(network.table, prefix), tensors, quantise)


def _marker_tensors(model: ModelHandle) -> dict[str, Tensor]:
    header = model.model.network.header
    with TensorFiles() as files:
        found = {
            key: files.tensor(header.tensors[key])
            for key in _MARKERS
            if key in header and header.tensors[key].name
        }
    schedule = model.parameterization
    if isinstance(schedule, Discrete) and schedule.sigma_max > _ZERO_SNR:
        found["ztsnr"] = torch.zeros(0)
    return found


def _with_weights(vae: VaeHandle) -> Network:
    network = vae.vae.network
    if not network_class(network.spec.kind).saved:
        raise UnsavableError(
            code="unsavable_vae",
            part="this VAE",
            reason="TAESDs are pairs of files, and pixel_space has no weights",
            hint="Use a full VAE.",
        )
    return network
