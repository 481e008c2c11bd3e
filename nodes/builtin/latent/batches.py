"""Nodes that join latents to batches, and split batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.markers import Listed, Name
from nodegraph.definition.node import node
from nodegraph.graph.sockets import Socket
from nodes.builtin.inputs import BatchSizes
from nodes.builtin.latent.matching import match_size
from nodes.imaging.batch import repeat_to_batch
from nodes.imaging.errors import EmptyBatchError
from nodes.values import Latent

_FIRST_SIDE = 2
"""The axis after batch and channels."""
_SCALE = 8  # mask pixels per latent pixel, along each side


@node("LatentBatch", category="latent/batch")
def latent_batch(samples1: Latent, samples2: Latent) -> Latent:
    """Join two batches, `samples1` first; its mask applies to all.

    `samples2` is cropped to the aspect ratio of `samples1` and scaled to its size. Each latent
    keeps its place in the seed's noise.
    """
    first, second = samples1.samples, match_size(samples2, samples1)
    index = (*_noise_indices(samples1), *_noise_indices(samples2))
    return replace(samples1, samples=torch.cat([first, second.to(first)]), batch_index=index)


@node("LatentBatchSeedBehavior", category="latent/advanced")
def latent_batch_seed_behavior(
    samples: Latent, seed_behavior: Literal["random", "fixed"] = "fixed"
) -> Latent:
    """Choose the noise of a batch: each latent its own, or with `fixed` all that of the first."""
    if seed_behavior == "random":
        return replace(samples, batch_index=None)
    first = samples.batch_index[0] if samples.batch_index else 0
    return replace(samples, batch_index=(first,) * len(samples.samples))


@node("LatentCutToBatch", category="latent/batch")
def latent_cut_to_batch(
    samples: Latent,
    dim: Literal["t", "x", "y"],
    slice_size: Annotated[int, Field(ge=1, le=16384)] = 1,
) -> Annotated[Latent, Name("samples")]:
    """Cut latents into slices along their width (`x`), height (`y`) or frames (`t`), as a batch.

    What is left at the end, shorter than `slice_size`, is dropped; a side shorter than that is one
    slice. Latents without frames stay whole with `t`. A mask is left out, for it is of the whole.
    """
    whole = samples.samples
    axis = {"t": whole.ndim - 3, "y": whole.ndim - 2, "x": whole.ndim - 1}[dim]
    if axis < _FIRST_SIDE:
        return samples
    size = min(slice_size, whole.shape[axis])
    slices = whole.unfold(axis, size, size).movedim((axis, -1), (1, axis + 1))
    return Latent(slices.flatten(0, 1).contiguous())


@node("RebatchLatents", category="latent/batch", display_name="Rebatch Latents", input_is_list=True)
def rebatch_latents(
    latents: Annotated[list[Latent], Socket("LATENT")], batch_size: BatchSizes
) -> Annotated[list[Latent], Socket("LATENT"), Listed()]:
    """Regroup latents into batches of `batch_size`.

    A batch is smaller where the latents end, or where the next one has another size. Each latent
    keeps its mask and its place in the seed's noise: the one it had, or else its number among
    all of them. The nodes that follow run once for each batch.
    """
    groups: list[list[_Single]] = []
    for single in _split(latents):
        fits = groups and len(groups[-1]) < batch_size[0] and single.fits(groups[-1][0])
        if not fits:
            groups.append([])
        groups[-1].append(single)
    if not groups:
        raise EmptyBatchError(what="latents")
    return [_join(group) for group in groups]


@dataclass(frozen=True, slots=True, eq=False)
class _Single:
    """One latent of a batch."""

    sample: Tensor
    """[1, channels, h, w]."""
    mask: Tensor | None
    """[1, 1, any, any]."""
    draw: int

    def fits(self, other: "_Single") -> bool:
        return self.sample.shape == other.sample.shape

    def stretched_mask(self) -> Tensor:
        """Return the mask as [1, 1, h * 8, w * 8]; 1 everywhere if there is none."""
        height, width = (side * _SCALE for side in self.sample.shape[-2:])
        if self.mask is None:
            return torch.ones(1, 1, height, width, device=self.sample.device)
        return functional.interpolate(self.mask, size=(height, width), mode="bilinear")


def _split(latents: Sequence[Latent]) -> Iterator[_Single]:
    number = 0
    for latent in latents:
        count = len(latent.samples)
        draws = latent.batch_index or range(number, number + count)
        mask = None if latent.noise_mask is None else repeat_to_batch(latent.noise_mask, count)
        for row in range(count):
            own = None if mask is None else mask[row : row + 1]
            yield _Single(latent.samples[row : row + 1], own, draws[row])
        number += count


def _join(group: Sequence[_Single]) -> Latent:
    masked = any(single.mask is not None for single in group)
    return Latent(
        torch.cat([single.sample for single in group]),
        torch.cat([single.stretched_mask() for single in group]) if masked else None,
        tuple(single.draw for single in group),
    )


def _noise_indices(latent: Latent) -> Sequence[int]:
    return latent.batch_index or range(len(latent.samples))
