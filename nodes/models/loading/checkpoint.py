"""Opened model files: their parts, with networks that are loaded when they are first used."""

import gc
import json
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import torch

from nodes.models.families.base.spec import Architecture, NetworkSpec, TextSpec, VaeSpec
from nodes.models.families.base.vae import pixel_space, read_lone_vae
from nodes.models.families.diffusers_layout import read_model
from nodes.models.families.registry import architecture_of
from nodes.models.loading.autoencoder import Autoencoder
from nodes.models.loading.diffusion_model import DiffusionModel
from nodes.models.loading.network import Network
from nodes.models.loading.text_model import TextEncoder, TextModel
from nodes.models.weights.header import Header


class Networks:
    """The networks that some handle still refers to: the same content is loaded once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: WeakValueDictionary[tuple[str, ...], Network] = WeakValueDictionary()

    def network(
        self,
        header: Header,
        identity: str,
        spec: NetworkSpec,
        narrow: torch.dtype | None = None,
        *,
        on_cpu: bool = False,
    ) -> Network:
        """The network of that content; arguments as for `Network`."""
        config = json.dumps(spec.config, sort_keys=True)
        key = (identity, spec.kind, spec.name, spec.prefix, config, str(narrow), str(on_cpu))
        with self._lock:
            found = self._open.get(key)
            if found is None:
                found = self._open[key] = Network(header, identity, spec, narrow, on_cpu=on_cpu)
            return found

    def unload(self, keep: Collection[Network]) -> bool:
        """Let go of the weights of all others; whether that freed anything."""
        with self._lock:
            others = [network for network in self._open.values() if network not in keep]
        freed = [network.unload() for network in others]
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return any(freed)

    def __len__(self) -> int:
        return len(self._open)


_NETWORKS = Networks()


def networks() -> Networks:
    """This process's networks: the one thing here that all runs share."""
    return _NETWORKS


@dataclass(frozen=True)
class Checkpoint:
    """The parts of one file."""

    architecture: Architecture
    model: DiffusionModel
    text: TextModel
    vae: Autoencoder


def open_checkpoint(path: Path, identity: str, pool: Networks | None = None) -> Checkpoint:
    """Open a checkpoint; reads its header only.

    Args:
        path: where it lies: a file, one of several shards, or a diffusers folder.
        identity: the file's sha256.
        pool: whose networks to share; this process's if None.

    Raises:
        UnknownFamilyError: no family recognises it.
        MissingWeightsError: its weights are incomplete.
        BadMetadataError: its metadata has no meaning.
    """
    opening = _Opening(read_model(path), identity, networks() if pool is None else pool)
    architecture = architecture_of(opening.header)
    model = DiffusionModel(opening.network(architecture.model.network), architecture.model)
    text, vae = opening.text(architecture.text), opening.vae(architecture.vae)
    return Checkpoint(architecture, model, text, vae)


def open_model(
    path: Path, identity: str, narrow: torch.dtype | None = None, pool: Networks | None = None
) -> DiffusionModel:
    """Open a file for the part of it that denoises; reads its header only.

    Args:
        path: where it lies.
        identity: the file's sha256.
        narrow: see `Network`.
        pool: whose networks to share; this process's if None.

    Raises:
        UnknownFamilyError: no family recognises it.
        MissingWeightsError: its weights are incomplete.
        BadMetadataError: its metadata has no meaning.
    """
    opening = _Opening(read_model(path), identity, networks() if pool is None else pool, narrow)
    spec = architecture_of(opening.header).model
    return DiffusionModel(opening.network(spec.network), spec)


def open_vae(path: Path, identity: str, pool: Networks | None = None) -> Autoencoder:
    """Open a file for the autoencoder in it; reads its header only. Arguments as `open_model`.

    Raises:
        NotAVaeError: there is none.
        MissingWeightsError: its weights are incomplete.
        BadMetadataError: its metadata has no meaning.
    """
    opening = _Opening(read_model(path), identity, networks() if pool is None else pool)
    return opening.vae(read_lone_vae(opening.header))


def pixel_vae() -> Autoencoder:
    """The autoencoder that does nothing, which no file is needed for."""
    header = Header(Path("pixel_space"), {}, {})
    return _Opening(header, "", networks()).vae(pixel_space())


@dataclass(frozen=True, slots=True)
class _Opening:
    header: Header
    identity: str
    pool: Networks
    narrow: torch.dtype | None = None

    def network(self, spec: NetworkSpec) -> Network:
        return self.pool.network(self.header, self.identity, spec, self.narrow)

    def text(self, spec: TextSpec | None) -> TextModel:
        if spec is None:
            return TextModel(self.header.path, ())
        encoders = (TextEncoder(self.network(item.network), item.rules) for item in spec.encoders)
        return TextModel(self.header.path, tuple(encoders), spec.style)

    def vae(self, spec: VaeSpec | None) -> Autoencoder:
        found = self.network(spec.network) if spec else None
        return Autoencoder(self.header.path, found, spec)
