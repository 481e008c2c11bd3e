"""Decoupled cross-attention: to the text, and to image prompts (arXiv:2308.06721, equation 5).

The keys and values of a text are the same at every step: a run computes them once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.sampling.conditioning.cond import CondBatch
from nodes.sampling.conditioning.run_memory import RunMemory

KEYS, VALUES, MASK = "image_prompt_keys.", "image_prompt_values.", "image_prompt_mask."
"""The names in `Cond.extras`, each followed by a number: [1, tokens, widths], the same, and
[1, 1, height, width] of the latent."""
Processor: TypeAlias = Callable[..., Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class ImagePromptKeys:
    """An image prompt, of one or several images: its keys and values for all cross-attentions."""

    keys: Tensor
    """[batch, tokens, the widths of all cross-attentions]."""
    values: Tensor
    """The same, times the weight."""
    mask: Tensor | None
    """[batch, 1, h, w] float32: the part of the latent that reads it."""
    size: tuple[int, int]
    """Height and width of the latent."""


class _Attention(Protocol):
    heads: int
    to_q: nn.Linear
    to_k: nn.Linear
    to_v: nn.Linear
    to_out: nn.ModuleList


class _Attentive(Protocol):
    attn_processors: Mapping[str, Processor]

    def get_submodule(self, target: str) -> nn.Module: ...

    def set_attn_processor(self, processor: dict[str, Processor]) -> None: ...


class CrossAttention:
    """A cross-attention of diffusers that remembers the text, and also reads image prompts."""

    def __init__(self, plain: Processor, start: int) -> None:
        """Wrap a processor of a diffusers network.

        Args:
            plain: the processor, for texts with a mask.
            start: of this attention's part of the image prompts' keys and values.
        """
        self._plain = plain
        self._start = start

    def __call__(
        self,
        attn: _Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        *,
        image_prompts: tuple[ImagePromptKeys, ...] = (),
        memory: RunMemory | None = None,
    ) -> Tensor:
        """Attend to the text, and add the attention to each image prompt."""
        queries = attn.to_q(hidden_states)
        if attention_mask is None:
            keys, values = self._text(attn, encoder_hidden_states, memory)
            output = attn.to_out[1](attn.to_out[0](_attend(attn, queries, keys, values)))
        else:
            text = (hidden_states, encoder_hidden_states, attention_mask, temb)
            output = self._plain(attn, *text)
        return self.add_prompts(attn, queries, output, image_prompts)

    def add_prompts(
        self,
        attn: _Attention,
        queries: Tensor,
        output: Tensor,
        prompts: tuple[ImagePromptKeys, ...],
    ) -> Tensor:
        """Return an output, [batch, queries, width], with the attention to image prompts."""
        for prompt in prompts:
            output = output + self._attend_to(attn, queries, prompt)
        return output

    def _text(
        self, attn: _Attention, text: Tensor, memory: RunMemory | None
    ) -> tuple[Tensor, Tensor]:
        """Return the keys and values of a text, [batch, length, width] each."""

        def make() -> tuple[Tensor, Tensor]:
            return attn.to_k(text), attn.to_v(text)

        if memory is None or torch.compiler.is_compiling():
            return make()
        return memory.recall("text keys", (self, text), make)

    def _attend_to(self, attn: _Attention, queries: Tensor, prompt: ImagePromptKeys) -> Tensor:
        part = slice(self._start, self._start + queries.shape[-1])
        keys, values = (x[..., part].to(queries) for x in (prompt.keys, prompt.values))
        seen = _attend(attn, queries, keys, values)
        if prompt.mask is not None:
            grid = _grid(prompt.size, queries.shape[1])
            mask = functional.interpolate(prompt.mask, size=grid, mode="bilinear", antialias=True)
            seen = seen * mask.flatten(1)[..., None].to(seen)
        return functional.linear(seen, cast("Tensor", attn.to_out[0].weight).to(seen))


class _SelfAttention:
    """Any other attention of the same network: it is handed what cross-attentions read."""

    def __init__(self, plain: Processor) -> None:
        self._plain = plain

    def __call__(
        self,
        attn: _Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        *,
        image_prompts: tuple[ImagePromptKeys, ...] = (),
        memory: RunMemory | None = None,
    ) -> Tensor:
        del image_prompts, memory
        return self._plain(attn, hidden_states, encoder_hidden_states, attention_mask, temb)


def _attend(attn: _Attention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return the attention of all heads, [batch, queries, width]."""
    query, key, value = (_heads(x, attn.heads) for x in (queries, keys, values))
    seen = functional.scaled_dot_product_attention(query, key, value)
    return seen.transpose(1, 2).flatten(2)


def _heads(x: Tensor, heads: int) -> Tensor:
    """Map [batch, tokens, width] to [batch, heads, tokens, width / heads]."""
    return x.reshape(len(x), x.shape[1], heads, -1).transpose(1, 2)


def add_image_prompts(module: nn.Module) -> None:
    """Let every cross-attention of a new U-Net read image prompts, and remember texts."""
    network, start = cast("_Attentive", module), 0
    processors: dict[str, Processor] = {}
    for name, plain in network.attn_processors.items():
        path = name.removesuffix(".processor")
        if path.endswith("attn2"):
            processors[name] = CrossAttention(plain, start)
            start += cast("_Attention", network.get_submodule(path)).to_k.out_features
        else:
            processors[name] = _SelfAttention(plain)
    network.set_attn_processor(processors)


def image_prompts_of(cond: CondBatch, x: Tensor, memory: RunMemory) -> tuple[ImagePromptKeys, ...]:
    """Return the image prompts of conditions, for a latent."""
    size = x.shape[-2], x.shape[-1]
    names = [key.removeprefix(KEYS) for key in cond.extras if key.startswith(KEYS)]

    def like_x(key: str) -> Tensor:
        value = cond.extras[key]
        return memory.recall(("image prompt", x.dtype), (value,), lambda: value.to(x))

    return tuple(
        ImagePromptKeys(
            like_x(KEYS + name),
            like_x(VALUES + name),
            cond.extras[MASK + name].to(x.device) if MASK + name in cond.extras else None,
            size,
        )
        for name in names
    )


def _grid(size: tuple[int, int], queries: int) -> tuple[int, int]:
    """Return the height and width of the U-Net's level that has this number of queries."""
    height, width = size
    while height * width > queries:
        height, width = (height + 1) // 2, (width + 1) // 2
    return height, width
