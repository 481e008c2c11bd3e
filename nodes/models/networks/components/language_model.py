"""Language models that encode texts: transformers' own classes, one network for each record."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from pkgutil import resolve_name
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.families.base.language_models import head_parts
from nodes.models.families.base.language_records import LANGUAGE_MODELS, LanguageModel
from nodes.models.networks.base.builder import Build, NetworkClass, TextClass
from nodes.models.networks.base.pictures import TextPictures
from nodes.models.residency.units import Parts


class Cache(Protocol):
    """The interface of transformers' caches of keys and values."""

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Add those of further tokens in a layer, and return all of its."""
        ...


class _Norm(Protocol):
    weight: Tensor

    def __call__(self, states: Tensor) -> Tensor: ...


class _Decoder(Protocol):
    embed_tokens: nn.Embedding
    layers: nn.ModuleList
    norm: _Norm
    rotary_emb: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    config: object


@dataclass(frozen=True, slots=True)
class LanguageModelText:
    """Drives a language model; see `nodes.models.networks.base.builder.TextNetwork`."""

    record: LanguageModel
    module: nn.Module
    pools: bool = False

    @property
    def token_embedding(self) -> Tensor:
        """The token embedding."""
        return self._decoder.embed_tokens.weight

    @property
    def depth(self) -> int:
        """The number of its layers."""
        return len(self._decoder.layers)

    def states(
        self,
        embedded: Tensor,
        attended: Tensor | None = None,
        positions: Tensor | None = None,
        pictures: TextPictures | None = None,
        past: Cache | None = None,
    ) -> Iterator[Tensor]:
        """Yield each layer's output; a token attends to those before it that are attended to.

        With a `past`, which then gets their keys and values, these are the first tokens of a text,
        or its next one. What a vision encoder adds to it is not in it yet, as in transformers'
        hidden states.
        """
        decoder = self._decoder
        hidden = embedded.to(decoder.norm.weight.device)
        if self.record.scales_embedding:
            hidden = hidden * hidden.shape[-1] ** 0.5
        counted = torch.arange(hidden.shape[1], device=hidden.device)[None]
        places = counted if positions is None else positions.to(hidden.device)
        several = self.record.coordinates > 1
        rotary = decoder.rotary_emb(
            hidden, places.expand(self.record.coordinates, -1, -1) if several else places
        )
        masks = cache(partial(self._mask, hidden, attended))
        present = None if attended is None else attended.to(hidden.device)
        kept = {} if past is None else {"past_key_values": past}
        alone = past is not None and hidden.shape[1] == 1  # it attends to all that is kept
        for number, layer in enumerate(decoder.layers):
            mask = None if alone else masks(_window(layer, hidden.shape[1]))
            if hasattr(layer, "linear_attn"):
                mask = present
            output = layer(
                hidden,
                attention_mask=mask,
                position_ids=counted,
                position_embeddings=rotary,
                **kept,
            )
            yield cast("Tensor", output)
            hidden = _with_deep_states(cast("Tensor", output), pictures, number)

    def new_cache(self) -> Cache:
        """Return what keeps the keys, values and states of a text; nothing is in it yet."""
        from transformers.cache_utils import DynamicCache

        return cast("Cache", DynamicCache(config=cast("Any", self._decoder.config)))

    def norm(self, states: Tensor) -> Tensor:
        """Apply the final norm, a root mean square."""
        return self._decoder.norm(states)

    def project(self, pooled: Tensor) -> Tensor:
        """Return the state unchanged: a language model has no projection."""
        return pooled

    def _mask(
        self, hidden: Tensor, attended: Tensor | None, window: int | None = None
    ) -> Tensor | None:
        """Return which pairs of tokens there are, [rows or 1, 1, length, length].

        Torch's own attention is told so; it needs no mask (None) if tokens attend to all before
        them. Otherwise it is what is added to the pairs' scores.

        Args:
            hidden: [rows, length, width].
            attended: see `states`.
            window: the number of last tokens that a token attends to; None: all.
        """
        is_told = getattr(self._decoder.config, "_attn_implementation", "") == "sdpa"
        if attended is None and window is None and is_told:
            return None
        length = hidden.shape[1]
        pairs = torch.ones(1, 1, length, length, dtype=torch.bool, device=hidden.device).tril()
        if window is not None:
            pairs = pairs.triu(1 - window)
        if attended is not None:
            pairs = pairs & attended.to(hidden.device)[:, None, None, :]
        if is_told:
            return pairs  # what attends to nothing gets zeros
        lowest = torch.finfo(hidden.dtype).min
        return torch.zeros_like(pairs, dtype=hidden.dtype).masked_fill(~pairs, lowest)

    @property
    def _decoder(self) -> _Decoder:
        return cast("_Decoder", self.module)


def _with_deep_states(hidden: Tensor, pictures: TextPictures | None, layer: int) -> Tensor:
    """Return a layer's states with those of the vision encoder that are for it added."""
    if pictures is None or layer >= len(pictures.deep):
        return hidden
    summed = hidden.clone()
    summed[pictures.mask.to(hidden.device)] += pictures.deep[layer].to(hidden)
    return summed


def _window(layer: nn.Module, length: int) -> int | None:
    """Return the number of last tokens that a layer attends to; None if it reads the whole text."""
    attention = getattr(layer, "self_attn", None)  # not there if its attention is linear
    window = getattr(attention, "sliding_window", None)
    return window if window is not None and window < length else None


def network_of(record: LanguageModel) -> NetworkClass:
    """Return the class of network of a record."""
    return NetworkClass(
        record.kind,
        f"{record.title} text encoder",
        partial(_builder, record),
        text=TextClass(partial(LanguageModelText, record), "hidden_size"),
        half_dtype=torch.bfloat16,  # its numbers grow too large for float16
        without_bfloat16=torch.float32,
        keeps_quantized=True,
        parts=Parts(uncalled=("norm", *record.uncalled), tables=("embed_tokens",)),
    )


def _builder(record: LanguageModel) -> Build:
    model, config = resolve_name(record.model), resolve_name(record.config)

    def build(settings: dict[str, Any]) -> nn.Module:
        made = config(**deepcopy(settings), use_cache=False)  # it changes what is nested in them
        network = cast("nn.Module", model(made))
        keep_frequencies(cast("nn.Module", network.rotary_emb), made)
        return network

    return build


def keep_frequencies(rotary: nn.Module, config: object) -> None:
    """Compute the frequencies of positions on the CPU, as no file has them.

    They are no buffers then, so that they stay float32, wherever the weights go.

    Args:
        rotary: the module that has them.
        config: its configuration.
    """
    with torch.device("cpu"):
        made = type(rotary)(config)
    for name, frequencies in list(made.named_buffers()):
        delattr(rotary, name)
        setattr(rotary, name, frequencies)


def _head_builder() -> Build:
    return _head


class WordHead(nn.Module):
    """A linear layer from the states of a token to a score of each word that may follow.

    It consists of several, each for a part of the words, as it may be too large for the device as a
    whole.

    Args:
        width: of the states.
        words: their number.
    """

    def __init__(self, width: int, words: int) -> None:
        super().__init__()
        count = head_parts(words)
        layers = (nn.Linear(width, words // count, bias=False) for _ in range(count))
        self.parts = nn.ModuleList(layers)

    def forward(self, states: Tensor) -> Tensor:
        """Return the scores: [rows, words] of [rows, width]."""
        return torch.cat([part(states) for part in self.parts], dim=-1)


def _head(config: dict[str, Any]) -> nn.Module:
    return WordHead(**config)


HEAD = NetworkClass(
    "word_head",
    "head of a language model",
    _head_builder,
    half_dtype=torch.bfloat16,
    without_bfloat16=torch.float32,
    keeps_quantized=True,
)
"""See `WordHead`."""
NETWORKS = (*(network_of(record) for record in LANGUAGE_MODELS), HEAD)
"""The classes of all records."""
