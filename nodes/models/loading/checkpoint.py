"""Opened model files: their parts, with networks that are loaded when they are first used."""

import gc
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from nodegraph.runtime.devices import release_unused
from nodegraph.runtime.model_pool import ModelPool
from nodes.models.families.base.spec import Architecture, NetworkSpec, TextSpec, VaeSpec
from nodes.models.families.base.vaes.vae import pixel_space, read_lone_vae
from nodes.models.families.diffusers_layout import read_model
from nodes.models.families.registry import architecture_of
from nodes.models.loading.autoencoder import Autoencoder
from nodes.models.loading.diffusion_model import DiffusionModel
from nodes.models.loading.network import Network
from nodes.models.loading.text_model import TextModel, open_encoder
from nodes.models.weights.header import Header


def open_network(
    models: ModelPool,
    header: Header,
    identity: str,
    spec: NetworkSpec,
    storage_dtype: torch.dtype | None = None,
    *,
    on_cpu: bool = False,
) -> Network:
    """Return the network of that content, which all who open it share while one refers to it.

    Args:
        models: the pool to share it through.
        header: see `Network`, as for all others.
        identity: the file's sha256.
        spec: what the network is, and where in the file.
        storage_dtype: what its matrices are kept in.
        on_cpu: compute there, even if there is a better device.
    """
    config = json.dumps(spec.config, sort_keys=True)
    precision = (str(storage_dtype), spec.fits_float16)
    key = (identity, spec.kind, spec.name, spec.prefix, config, precision, on_cpu)
    return models.share(key, lambda: Network(header, identity, spec, storage_dtype, on_cpu=on_cpu))


def unload_others(models: ModelPool, keep: Network) -> bool:
    """Free the memory of all networks but one; True if that freed anything."""
    freed = models.unload([keep])
    gc.collect()
    release_unused()
    return freed


@dataclass(frozen=True)
class Checkpoint:
    """The parts of one file."""

    architecture: Architecture
    model: DiffusionModel
    text: TextModel
    vae: Autoencoder


def open_checkpoint(path: Path, identity: str, models: ModelPool) -> Checkpoint:
    """Open a checkpoint; reads its header only.

    Args:
        path: where it lies: a file, one of several shards, or a diffusers folder.
        identity: the file's sha256.
        models: the pool to share networks through.

    Raises:
        UnknownFamilyError: no family recognises it.
        MissingWeightsError: its weights are incomplete.
        BadMetadataError: its metadata has no meaning.
    """
    opening = _Opening(read_model(path), identity, models)
    architecture = architecture_of(opening.header)
    model = DiffusionModel(opening.network(architecture.model.network), architecture.model)
    text, vae = opening.text(architecture.text), opening.vae(architecture.vae)
    return Checkpoint(architecture, model, text, vae)


def open_model(
    path: Path, identity: str, models: ModelPool, storage_dtype: torch.dtype | None = None
) -> DiffusionModel:
    """Open a file for the part of it that denoises; reads its header only.

    Args:
        path: where it lies.
        identity: the file's sha256.
        models: the pool to share networks through.
        storage_dtype: see `Network`.

    Raises:
        UnknownFamilyError: no family recognises it.
        MissingWeightsError: its weights are incomplete.
        BadMetadataError: its metadata has no meaning.
    """
    opening = _Opening(read_model(path), identity, models, storage_dtype)
    spec = architecture_of(opening.header).model
    return DiffusionModel(opening.network(spec.network), spec)


def open_vae(path: Path, identity: str, models: ModelPool) -> Autoencoder:
    """Open a file for the autoencoder in it; reads its header only. Arguments as `open_model`.

    Raises:
        UnrecognisedFileError: there is none.
        MissingWeightsError: its weights are incomplete.
        BadMetadataError: its metadata has no meaning.
    """
    opening = _Opening(read_model(path), identity, models)
    return opening.vae(read_lone_vae(opening.header))


def pixel_vae() -> Autoencoder:
    """The autoencoder that does nothing, which no file is needed for."""
    header = Header(Path("pixel_space"), {}, {})
    return _Opening(header, "", ModelPool()).vae(pixel_space())


@dataclass(frozen=True, slots=True)
class _Opening:
    header: Header
    identity: str
    models: ModelPool
    storage_dtype: torch.dtype | None = None

    def network(self, spec: NetworkSpec) -> Network:
        return open_network(self.models, self.header, self.identity, spec, self.storage_dtype)

    def text(self, spec: TextSpec | None) -> TextModel:
        if spec is None:
            return TextModel(self.header.path, ())
        encoders = (open_encoder(item, self.network) for item in spec.encoders)
        return TextModel(self.header.path, tuple(encoders), spec.encoder_set)

    def vae(self, spec: VaeSpec | None) -> Autoencoder:
        found = self.network(spec.network) if spec else None
        return Autoencoder(self.header.path, found, spec)
