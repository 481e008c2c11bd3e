"""T5's encoder, version 1.1 (Raffel et al. 2019, arXiv:1910.10683)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass, TextClass
from nodes.models.networks.base.pictures import TextPictures
from nodes.models.residency.units import Parts


class _Norm(Protocol):
    weight: Tensor

    def __call__(self, states: Tensor) -> Tensor: ...


class _Stack(Protocol):
    embed_tokens: nn.Embedding
    block: nn.ModuleList
    final_layer_norm: _Norm


@dataclass(frozen=True, slots=True)
class T5Text:
    """Drives a T5 encoder; see `nodes.models.networks.base.builder.TextNetwork`."""

    module: nn.Module
    pools: bool = False

    @property
    def token_embedding(self) -> Tensor:
        """The token embedding."""
        return self._stack.embed_tokens.weight

    @property
    def depth(self) -> int:
        """The number of its layers."""
        return len(self._stack.block)

    def states(
        self,
        embedded: Tensor,
        attended: Tensor | None = None,
        positions: Tensor | None = None,
        pictures: TextPictures | None = None,
    ) -> Iterator[Tensor]:
        """Yield each layer's output; all blocks use the first one's position bias."""
        del positions, pictures
        hidden, bias = embedded.to(self._stack.final_layer_norm.weight.device), None
        mask = None if attended is None else _mask(attended.to(hidden.device), hidden.dtype)
        for block in self._stack.block:
            output = block(hidden, attention_mask=mask, position_bias=bias)
            hidden, bias, *_ = cast("tuple[Tensor, ...]", output)
            yield hidden

    def norm(self, states: Tensor) -> Tensor:
        """Apply the final layer norm, a root mean square."""
        return self._stack.final_layer_norm(states)

    def project(self, pooled: Tensor) -> Tensor:
        """Return the state unchanged: T5 has no projection."""
        return pooled

    @property
    def _stack(self) -> _Stack:
        return cast("_Stack", self.module)


def _mask(attended: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what is added to the scores of tokens, [rows, 1, 1, length]."""
    mask = torch.zeros_like(attended, dtype=dtype).masked_fill(~attended, torch.finfo(dtype).min)
    return mask[:, None, None, :]


def builder() -> Build:
    """Return the function that builds the network."""
    from transformers.models.t5.configuration_t5 import T5Config
    from transformers.models.t5.modeling_t5 import T5Stack

    def build(config: dict[str, Any]) -> nn.Module:
        settings = T5Config(**config, is_decoder=False, use_cache=False)
        return cast("nn.Module", T5Stack(settings))

    return build


NETWORK = NetworkClass(
    "t5",
    "T5 text encoder",
    builder,
    text=TextClass(T5Text, "d_model"),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    parts=Parts(uncalled=("final_layer_norm",), tables=("embed_tokens",)),
)
