"""The changes of weights that packs make with `add_patches`, as a patch of ours."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nodes.comfy.values.patches.weight_names import NamedWeight, weight_names
from nodes.comfy.values.patches.weight_values import Change, StoredWeight
from nodes.models.loading.network import Network, Patches
from nodes.models.loading.variants.patched_weights import PatchedWeights


@dataclass(frozen=True, slots=True, eq=False)
class PackWeights:
    """Changes of some of a network's weights; see `nodes.models.loading.network.Patch`."""

    changes: Mapping[str, tuple[NamedWeight, tuple[Change, ...]]]
    """By ComfyUI's name of each weight."""
    others: tuple[Network, ...]
    """The networks whose weights it adds."""

    @property
    def touches(self) -> frozenset[str]:
        """The weights it changes."""
        return frozenset(key for named, _ in self.changes.values() for key in named.keys)

    @torch.no_grad()
    def apply(self, network: Network, weights: PatchedWeights) -> Iterator[dict[str, Tensor]]:
        """Yield the weights after the changes; see `nodes.models.loading.network.Patch`."""
        merged: defaultdict[tuple[Network, Patches], dict[str, str]] = defaultdict(dict)
        for name, (_, changes) in self.changes.items():
            source = changes[0].source if len(changes) == 1 else None
            if source is None:
                yield self._changed_weight(name, network, weights, None)
            else:
                owner = merged[source.network, source.patches]
                owner.update(dict.fromkeys(source.named.keys, name))
        for (other, patches), names in merged.items():
            for name, theirs in _read_whole(other, patches, names, self.changes):
                yield self._changed_weight(name, network, weights, theirs)

    def _changed_weight(
        self, name: str, network: Network, weights: PatchedWeights, theirs: Tensor | None
    ) -> dict[str, Tensor]:
        named, changes = self.changes[name]
        fused = named.layout(network)
        weight = fused.join({key: weights[key] for key in named.keys})
        for change in changes:
            weight = change.apply(weight, theirs)
        return fused.split(weight.to(network.placement.dtype))


def _read_whole(
    other: Network,
    patches: Patches,
    names: Mapping[str, str],
    changes: Mapping[str, tuple[NamedWeight, tuple[Change, ...]]],
) -> Iterator[tuple[str, Tensor]]:
    """Yield another network's weights by ComfyUI's names, each as soon as its parts are read."""
    waiting: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, weight in other.weights(names, patches):
        name = names[key]
        waiting[name][key] = weight
        source = changes[name][1][0].source
        if source is not None and len(waiting[name]) == len(source.named.keys):
            yield name, source.named.layout(other).join(waiting.pop(name))


def weight_patch(
    network: Network, patches: Mapping[Any, Any], strength: float, factor: float
) -> PackWeights:
    """Return those of a pack's changes that are for a network; without `changes` if none is.

    Args:
        network: a denoiser or a text encoder.
        patches: values by ComfyUI's name of a weight, or by a pair of it and a part of it.
        strength: of all changes.
        factor: of the weights as they were.
    """
    names = weight_names(network)
    found: defaultdict[str, list[Change]] = defaultdict(list)
    for key, value in patches.items():
        name, rows = key[:2] if isinstance(key, tuple) else (key, None)
        if name in names:
            found[name].append(Change(value, strength, factor, rows))
    sources = [each.source for changes in found.values() for each in changes]
    others = dict.fromkeys(each.network for each in sources if each is not None)
    changes = {name: (names[name], tuple(each)) for name, each in found.items()}
    return PackWeights(changes, tuple(others))


def key_patches(
    network: Network, patches: Patches, prefix: str | None = None
) -> dict[str, list[Any]]:
    """Return weights as values of `add_patches`, by ComfyUI's names that begin with a prefix."""
    return {
        name: [(StoredWeight(network, patches, named), _keep)]
        for name, named in weight_names(network).items()
        if name.startswith(prefix or "")
    }


def note_patches(
    noted: dict[str, list[Any]],
    patches: Mapping[Any, Any],
    used: Collection[str],
    strength: float,
    factor: float,
) -> list[Any]:
    """Add changes to the lists that packs read, and return the keys of those that are used.

    Args:
        noted: the lists by ComfyUI's name of the weight; each is replaced, not written to.
        patches: see `weight_patch`.
        used: the names of the weights that there are.
        strength: see `weight_patch`.
        factor: likewise.
    """
    keys: list[Any] = []
    for key, value in patches.items():
        name, rows, *more = key if isinstance(key, tuple) else (key, None)
        if name in used:
            change = (strength, value, factor, rows, more[0] if more else None)
            noted[name] = [*noted.get(name, []), change]
            keys.append(key)
    return keys


def _keep(weight: Tensor, **_more: object) -> Tensor:
    """Return a weight as it is: it is not quantized any more."""
    return weight
