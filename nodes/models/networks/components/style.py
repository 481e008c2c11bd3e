"""Networks that turn pictures into tokens beside the text's: FLUX.1 Redux and USO's projector.

Redux (https://github.com/black-forest-labs/flux, Apache-2.0) makes tokens of the text's width. USO
(Wu et al. 2025, arXiv:2508.18966, section 3; https://github.com/bytedance/USO, Apache-2.0) makes
tokens of the model's width, from several layers of the vision encoder.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass

BIAS = "style_bias"
"""The name of [1, tokens] in `Cond.extras`: the bias of the attention to each token."""
TOKENS = "style_tokens"
"""The name of [1, tokens, width] in `Cond.extras`: tokens of the model's own width."""
LAYERS = {"high": -2, "mid": -11, "low": -20}
"""The layers of the vision encoder that USO reads."""


class Redux(nn.Module):
    """Two linear layers over each patch."""

    def __init__(self, seen: int, inner: int, tokens: int) -> None:
        super().__init__()
        self.redux_up = nn.Linear(seen, inner)
        self.redux_down = nn.Linear(inner, tokens)

    def forward(self, states: Tensor) -> Tensor:
        """Map [batch, patches, width] to [batch, patches, the text's width]."""
        return self.redux_down(functional.silu(self.redux_up(states)))


class Projector(nn.Module):
    """For each of three layers: patches mixed to fewer tokens, then widened."""

    def __init__(self, patches: int, tokens: int, seen: int, width: int) -> None:
        super().__init__()
        for level in LAYERS:
            mix = nn.Sequential(nn.Linear(patches, tokens), nn.SiLU())
            self.add_module(f"{level}_embedding_linear", mix)
            self.add_module(f"{level}_layer_norm", nn.LayerNorm(seen))
            self.add_module(f"{level}_projection", nn.Linear(seen, width))

    def forward(self, states: dict[str, Tensor]) -> Tensor:
        """Map [batch, patches, width] of each layer to [batch, 3 * tokens, the model's width]."""
        return torch.cat([self._level(level, states[level]) for level in LAYERS], dim=1)

    def _level(self, level: str, states: Tensor) -> Tensor:
        parts = ("embedding_linear", "layer_norm", "projection")
        mix, norm, project = (self.get_submodule(f"{level}_{part}") for part in parts)
        return project(norm(mix(states.transpose(1, 2)).transpose(1, 2)))


def attention_bias(bias: Tensor, before: int, after: int) -> Tensor:
    """Return the bias of whole attention matrices from that of the text's tokens.

    Args:
        bias: [batch, text]: added to the attention to each token of the text.
        before: the number of tokens before the text.
        after: the number after it, the picture's among them.

    Returns:
        [batch, 1, 1, all tokens].
    """
    return functional.pad(bias, (before, after))[:, None, None]


def redux_builder() -> Build:
    """Return the function that builds the network."""
    return _redux


def projector_builder() -> Build:
    """Return the function that builds the network."""
    return _projector


def _redux(config: dict[str, Any]) -> nn.Module:
    return cast("nn.Module", Redux(**config))


def _projector(config: dict[str, Any]) -> nn.Module:
    return cast("nn.Module", Projector(**config))


REDUX = NetworkClass("redux", "style model", redux_builder)
PROJECTOR = NetworkClass("projector", "USO projector", projector_builder)
