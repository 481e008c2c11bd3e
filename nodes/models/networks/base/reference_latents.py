"""Reference latents of edit models: their patches are read beside the noisy ones.

Labs 2025, arXiv:2506.15742, section 3: a reference's patches have positions of their own, whose
first coordinate tells them from the picture that is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, cast, get_args

from torch import Tensor

from nodes.models.networks.base.errors import (
    ChannelMismatchError,
    LayeredLatentError,
    ReferenceMethodError,
)
from nodes.models.networks.base.patchify import PATCH, pad_to_patch, patchify, positions
from nodes.sampling.conditioning.cond import REFERENCES, Cond
from nodes.sampling.conditioning.latents import LAYERED, LatentFormat

METHOD = "reference_latents_method"
"""The name of the method in a condition's extras."""

Start: TypeAlias = tuple[int, int, int]
"""The index, row and column of a reference's first patch."""
Method: TypeAlias = Literal["offset", "index", "uxo/uno", "index_timestep_zero"]
"""The positions of several references' patches.

`offset` lays them out beside one another, `index` numbers them, `uxo/uno` lays them along the
diagonal that starts at the picture's far corner (Wu et al. 2025, arXiv:2504.02160, section 3.2).
`index_timestep_zero` numbers them, too, and they are at time zero, as they have no noise.
"""


def with_references(cond: Cond, latents: LatentFormat) -> Cond:
    """Return a condition with its references in the model's space.

    Raises:
        ChannelMismatchError: one of them is of another family.
        LayeredLatentError: one of them has layers.
    """
    references = cast("Sequence[Tensor]", cond.extras.get(REFERENCES, ()))
    if not references:
        return cond
    for latent in references:
        if latent.ndim == LAYERED:
            raise LayeredLatentError(what="the reference latent")
        if latent.shape[1] != latents.channels:
            raise _mismatch(latent.shape[1], latents.channels)
    scaled = tuple(latents.to_model(latent) for latent in references)
    return replace(cond, extras={**cond.extras, REFERENCES: scaled})


def _mismatch(found: int, expected: int) -> ChannelMismatchError:
    return ChannelMismatchError(
        code="wrong_reference",
        what="the reference latent",
        found=found,
        expected=expected,
        reader="this model",
        hint="Encode the image with the VAE that belongs to the model.",
    )


def name_references(
    extras: Mapping[str, object], methods: Sequence[Method] = get_args(Method)
) -> dict[str, object]:
    """Return the extras with each reference under a name of its own, which has the method.

    Conditions share a call of the model only if their extras have the same names.

    Args:
        extras: of a condition.
        methods: those that the model knows, the usual one first.

    Raises:
        ReferenceMethodError: the extras have another method, and references.
    """
    rest = {name: value for name, value in extras.items() if name not in {REFERENCES, METHOD}}
    latents = cast("Sequence[Tensor]", extras.get(REFERENCES, ()))
    method = cast("Method", extras.get(METHOD, methods[0]))
    if latents and method not in methods:
        raise ReferenceMethodError(method, methods)
    return rest | {f"{REFERENCES} {method} {n}": latent for n, latent in enumerate(latents)}


def latents_of(extras: Mapping[str, Tensor], x: Tensor) -> list[Tensor]:
    """Return the references of a call in their order, on the device and in the dtype of `x`.

    Args:
        extras: of the call, from `name_references`.
        x: the latent that is denoised.
    """
    return [extras[name].to(x) for name in extras if name.startswith(REFERENCES)]


def patches(extras: Mapping[str, Tensor], x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the references' patches, [batch, number, size], and their positions, [number, 3].

    Args and errors are those of `place`, for patches of 2x2.
    """
    found = place(extras, x, PATCH)
    places = [positions(latent, start) for latent, start in found]
    return [patchify(latent) for latent, _ in found], places


def place(
    extras: Mapping[str, Tensor], x: Tensor, patch: int, *, step: int = 1
) -> list[tuple[Tensor, Start]]:
    """Return the references, padded to whole patches, and where the first patch of each is.

    Args:
        extras: of a call, from `name_references`.
        x: the latent that is denoised, [batch, channels, h, w], padded.
        patch: the size of a patch, each way.
        step: between the numbers of references that are numbered.

    Raises:
        ChannelMismatchError: the model reads more beside its latent, which references do not have.
    """
    latents = [pad_to_patch(latent, patch) for latent in latents_of(extras, x)]
    if not latents:
        return []
    if latents[0].shape[1] != x.shape[1]:
        raise _mismatch(latents[0].shape[1], x.shape[1])
    name = next(name for name in extras if name.startswith(REFERENCES))
    method = cast("Method", name.split(" ")[1])
    sizes = [_size(latent, patch) for latent in latents]
    return list(zip(latents, _starts(method, sizes, _size(x, patch), step), strict=True))


def _size(latent: Tensor, patch: int) -> tuple[int, int]:
    """Return the numbers of a latent's patches down and across."""
    return latent.shape[-2] // patch, latent.shape[-1] // patch


def _starts(
    method: Method, sizes: Sequence[tuple[int, int]], picture: tuple[int, int], step: int
) -> list[Start]:
    """Return the place of each reference's first patch."""
    if method in {"index", "index_timestep_zero"}:
        return [(number * step, 0, 0) for number in range(1, len(sizes) + 1)]
    return _diagonal(sizes, picture) if method == "uxo/uno" else _beside(sizes)


def _diagonal(sizes: Sequence[tuple[int, int]], picture: tuple[int, int]) -> list[Start]:
    """Return the starts: each at the end of the one before, the first at the picture's end."""
    starts = list[Start]()
    row, column = picture
    for height, width in sizes:
        starts.append((0, row, column))
        row, column = row + height, column + width
    return starts


def _beside(sizes: Sequence[tuple[int, int]]) -> list[Start]:
    """Return the starts: each right of or below all before it, to keep the whole near a square."""
    starts = list[Start]()
    rows = columns = 0
    for height, width in sizes:
        right = rows + height > columns + width
        row, column = (0, columns) if right else (rows, 0)
        starts.append((1, row, column))
        rows, columns = max(rows, row + height), max(columns, column + width)
    return starts
