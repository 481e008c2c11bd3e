"""Decoupled cross-attention: to the text, and to image prompts (arXiv:2308.06721, equation 5)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast

from torch import Tensor, nn
from torch.nn import functional

from nodes.sampling.conditioning.cond import CondBatch

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
    to_out: nn.ModuleList


class _Attentive(Protocol):
    attn_processors: Mapping[str, Processor]

    def get_submodule(self, target: str) -> nn.Module: ...

    def set_attn_processor(self, processor: dict[str, Processor]) -> None: ...


class ImagePromptAttention:
    """An attention processor of diffusers that adds attention to image prompts."""

    def __init__(self, plain: Processor, start: int | None = None) -> None:
        """Wrap a processor of a diffusers network.

        Args:
            plain: the processor without image prompts.
            start: of this attention's part of the keys and values; None if it reads none.
        """
        self._plain = plain
        self._start = start

    def __call__(
        self,
        attn: _Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        image_prompts: tuple[ImagePromptKeys, ...] = (),
    ) -> Tensor:
        """Run the plain processor, and add the attention to each image prompt."""
        text = (hidden_states, encoder_hidden_states, attention_mask, temb)
        output = self._plain(attn, *text)
        if self._start is None:
            return output
        for prompt in image_prompts:
            output = output + self._attend(attn, hidden_states, prompt, self._start)
        return output

    def _attend(
        self, attn: _Attention, hidden: Tensor, prompt: ImagePromptKeys, start: int
    ) -> Tensor:
        queries = attn.to_q(hidden)
        part = slice(start, start + queries.shape[-1])
        query, key, value = (
            _heads(x.to(queries), attn.heads)
            for x in (queries, prompt.keys[..., part], prompt.values[..., part])
        )
        seen = functional.scaled_dot_product_attention(query, key, value)
        seen = seen.transpose(1, 2).flatten(2)
        if prompt.mask is not None:
            grid = _grid(prompt.size, queries.shape[1])
            mask = functional.interpolate(prompt.mask, size=grid, mode="bilinear", antialias=True)
            seen = seen * mask.flatten(1)[..., None].to(seen)
        return functional.linear(seen, cast("Tensor", attn.to_out[0].weight).to(seen))


def _heads(x: Tensor, heads: int) -> Tensor:
    """Map [batch, tokens, width] to [batch, heads, tokens, width / heads]."""
    return x.reshape(len(x), x.shape[1], heads, -1).transpose(1, 2)


def add_image_prompts(module: nn.Module) -> None:
    """Let every cross-attention of a new U-Net read image prompts."""
    network, start = cast("_Attentive", module), 0
    processors: dict[str, Processor] = {}
    for name, plain in network.attn_processors.items():
        path = name.removesuffix(".processor")
        cross = path.endswith("attn2")
        processors[name] = ImagePromptAttention(plain, start if cross else None)
        if cross:
            start += cast("_Attention", network.get_submodule(path)).to_k.out_features
    network.set_attn_processor(processors)


def image_prompts_of(cond: CondBatch, x: Tensor) -> tuple[ImagePromptKeys, ...]:
    """Return the image prompts of conditions, for a latent."""
    size = x.shape[-2], x.shape[-1]
    names = [key.removeprefix(KEYS) for key in cond.extras if key.startswith(KEYS)]
    return tuple(
        ImagePromptKeys(
            cond.extras[KEYS + name].to(x),
            cond.extras[VALUES + name].to(x),
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
