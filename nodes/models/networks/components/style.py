"""What makes tokens of pictures, for models that read them beside the text's: Redux and USO.

FLUX.1 Redux (https://github.com/black-forest-labs/flux, Apache-2.0) speaks the text encoder's
language. USO (Wu et al. 2025, arXiv:2508.18966, section 3; https://github.com/bytedance/USO,
Apache-2.0) speaks the model's own, and looks at several layers of the vision encoder.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass

BIAS = "style_bias"
"""The name of [1, tokens] in `Cond.extras`: what is added to the attention that each token gets."""
TOKENS = "style_tokens"
"""The name of [1, tokens, width] in `Cond.extras`: tokens in the model's own language."""
LAYERS = {"high": -2, "mid": -11, "low": -20}
"""Which layers of the vision encoder USO looks at."""


class Redux(nn.Module):
    """Two linear layers over each patch."""

    def __init__(self, seen: int, inner: int, tokens: int) -> None:
        super().__init__()
        self.redux_up = nn.Linear(seen, inner)
        self.redux_down = nn.Linear(inner, tokens)

    def forward(self, states: Tensor) -> Tensor:
        """[batch, patches, width] to [batch, patches, the text's width]."""
        return self.redux_down(functional.silu(self.redux_up(states)))


class Projector(nn.Module):
    """For each of three layers: fewer tokens out of all patches, then wider ones."""

    def __init__(self, patches: int, tokens: int, seen: int, width: int) -> None:
        super().__init__()
        for level in LAYERS:
            mix = nn.Sequential(nn.Linear(patches, tokens), nn.SiLU())
            self.add_module(f"{level}_embedding_linear", mix)
            self.add_module(f"{level}_layer_norm", nn.LayerNorm(seen))
            self.add_module(f"{level}_projection", nn.Linear(seen, width))

    def forward(self, states: dict[str, Tensor]) -> Tensor:
        """[batch, patches, width] of each layer to [batch, 3 * tokens, the model's width]."""
        return torch.cat([self._level(level, states[level]) for level in LAYERS], dim=1)

    def _level(self, level: str, states: Tensor) -> Tensor:
        parts = ("embedding_linear", "layer_norm", "projection")
        mix, norm, project = (self.get_submodule(f"{level}_{part}") for part in parts)
        return project(norm(mix(states.transpose(1, 2)).transpose(1, 2)))


def attention_bias(bias: Tensor, before: int, after: int) -> Tensor:
    """A bias for whole attention matrices: what each token gets more, whoever attends to it.

    Args:
        bias: [batch, text]: of each of the text's tokens.
        before: how many tokens stand before the text.
        after: how many stand after it, the picture's among them.

    Returns:
        [batch, 1, 1, all tokens].
    """
    return functional.pad(bias, (before, after))[:, None, None]


def redux_builder() -> Build:
    """For `nodes.models.networks.factory.skeleton`."""
    return _redux


def projector_builder() -> Build:
    """For `nodes.models.networks.factory.skeleton`."""
    return _projector


def _redux(config: dict[str, Any]) -> nn.Module:
    return cast("nn.Module", Redux(**config))


def _projector(config: dict[str, Any]) -> nn.Module:
    return cast("nn.Module", Projector(**config))


REDUX = NetworkClass("redux", "style model", redux_builder)
PROJECTOR = NetworkClass("projector", "USO projector", projector_builder)
