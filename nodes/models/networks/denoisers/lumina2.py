"""The transformer of Lumina-Image 2.0 (Qin et al. 2025, arXiv:2503.21758)."""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.patchify import PATCH, pad_to_patch
from nodes.models.networks.base.text_inputs import text
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

_BASE = 10_000.0
"""The base of the rotary positions' frequencies."""


class Lumina2Config(Protocol):
    """The entries of a configuration that are read here."""

    cap_feat_dim: int


class Lumina2(Protocol):
    """The interface of diffusers' Lumina 2 transformer."""

    config: Lumina2Config

    def __call__(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_attention_mask: Tensor,
        *,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the negative velocity, shaped as `hidden_states`.

        Args:
            hidden_states: the latent.
            timestep: [batch]: 0 for noise alone, 1 for the clean latent.
            encoder_hidden_states: the texts, [batch, length, dim].
            encoder_attention_mask: [batch, length]: the tokens that are no padding.
            return_dict: False for a tuple.
        """
        ...


class Lumina2Adapter:
    """Calls a Lumina 2 transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = 1
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return the condition unchanged: Lumina 2 reads the texts alone."""
        del size, branch
        return cond

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("Lumina2", module)
        height, width = x.shape[-2:]
        tokens = text(cond, x, model.config.cap_feat_dim)
        every = torch.ones(tokens.shape[:2], dtype=torch.bool, device=x.device)
        (output,) = model(pad_to_patch(x, PATCH), 1 - timestep, tokens, every, return_dict=False)
        return -output[..., :height, :width]


class Placed(NamedTuple):
    """The patches of latents, and the rotary positions of texts and patches.

    Turns are complex, [1, tokens, head / 2], and the same for all samples.
    """

    patches: Tensor
    """[batch, patches, 4 * channels]."""
    text_turns: Tensor
    picture_turns: Tensor
    turns: Tensor
    """Those of the text, then those of the picture."""
    text_lengths: list[int]
    """Of each sample."""
    lengths: list[int]
    """Of each sample's text and picture together."""


class TextThenPicture(nn.Module):
    """Rotary positions of a text, and of the picture after it, for samples with no padding.

    diffusers has tables of them, which end at 300 tokens, and which a network without weights
    lacks. A token's place is (number, 0, 0), and a patch's (length of the text, row, column).

    Args:
        axes: the numbers of a head that turn with each of the three.
    """

    def __init__(self, axes: Sequence[int]) -> None:
        super().__init__()
        self.axes = tuple(axes)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Placed:
        """Return the patches and the positions.

        Args:
            hidden_states: the latent, [batch, channels, height, width].
            attention_mask: [batch, length]: True for every token of the text.
        """
        batch, channels, height, width = hidden_states.shape
        rows, columns = height // PATCH, width // PATCH
        cut = hidden_states.view(batch, channels, rows, PATCH, columns, PATCH)
        patches = cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        length = attention_mask.shape[1]
        turns = _turns(self.axes, length, (rows, columns), hidden_states.device)
        return Placed(
            patches,
            turns[:, :length],
            turns[:, length:],
            turns,
            [length] * batch,
            [length + rows * columns] * batch,
        )


@lru_cache(maxsize=16)
def _turns(
    axes: tuple[int, ...], length: int, grid: tuple[int, int], device: torch.device
) -> Tensor:
    """Return the turns, made once, as steps have the same sizes; see `Placed`."""
    words = torch.zeros(length, 3, dtype=torch.float64, device="cpu")
    words[:, 0] = torch.arange(length, device="cpu")
    sides = [torch.arange(side, device="cpu") for side in grid]
    seen = torch.stack(torch.meshgrid(*sides, indexing="ij"), dim=-1).reshape(-1, 2)
    patches = torch.cat([torch.full_like(seen[:, :1], length), seen], dim=1)
    angles: list[Tensor] = []
    for axis, place in zip(axes, torch.cat([words, patches]).unbind(-1), strict=True):
        share = torch.arange(0, axis, 2, dtype=torch.float64, device="cpu") / axis
        angles.append(torch.outer(place, torch.pow(_BASE, -share)))
    angle = torch.cat(angles, dim=1)
    turns = torch.polar(torch.ones_like(angle), angle)
    return turns[None].to(torch.complex64).to(device)


@cache
def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.transformers.transformer_lumina2 import Lumina2Transformer2DModel

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("Any", Lumina2Transformer2DModel(**config))
        model.rope_embedder = TextThenPicture(config["axes_dim_rope"])
        return cast("nn.Module", model)

    return build


NETWORK = NetworkClass(
    "lumina2",
    "transformer",
    builder,
    adapter=Lumina2Adapter(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    repeated_blocks=("Lumina2TransformerBlock",),
)
