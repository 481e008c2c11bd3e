"""The attention of a U-Net with the functions that packs put before, in place of and after it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, cast

from torch import Tensor, nn

from nodes.comfy.values.patches.attend import optimized_attention
from nodes.comfy.values.patches.options import OVERRIDE, PassState, current_pass
from nodes.models.networks.denoisers.unets.cross_attention import CrossAttention, ImagePromptKeys

Kind = Literal["attn1", "attn2"]
"""Self-attention, and attention to the text."""


class Place(NamedTuple):
    """The place of a transformer block in the original layout."""

    name: str
    """`input`, `middle` or `output`."""
    number: int
    """Of the block in that part, from 0."""
    depth: int
    """Of the transformer block in that block."""
    transformer: int
    """Of the transformer among all of the network."""


class _Attention(Protocol):
    heads: int
    inner_dim: int
    to_q: nn.Module
    to_k: nn.Module
    to_v: nn.Module
    to_out: nn.ModuleList
    processor: object


@dataclass(frozen=True, slots=True, eq=False)
class HookedAttention:
    """Runs in place of an attention's `forward`; see `wrap`."""

    attention: nn.Module
    kind: Kind
    place: Place

    def __call__(
        self,
        forward: Callable[..., Tensor],
        hidden: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **more: Any,
    ) -> Tensor:
        """Attend as packs have it."""
        state = current_pass()
        if state is None or attention_mask is not None:
            return forward(hidden, encoder_hidden_states, attention_mask, **more)
        return self._attend(state, forward, hidden, encoder_hidden_states, more)

    def _attend(
        self,
        state: PassState,
        forward: Callable[..., Tensor],
        hidden: Tensor,
        text: Tensor | None,
        more: dict[str, Any],
    ) -> Tensor:
        parts, place = cast("_Attention", self.attention), self.place
        extra = state.extra(
            block=(place.name, place.number),
            block_index=place.depth,
            transformer_index=place.transformer,
            n_heads=parts.heads,
            dim_head=parts.inner_dim // parts.heads,
            attn_precision=None,
        )
        queried, keyed = hidden, hidden if text is None else text
        valued = keyed
        for patch in state.patches(f"{self.kind}_patch"):
            queried, keyed, valued = patch(queried, keyed, valued, extra)
        attend = self._attention(state, extra)
        if attend is None and valued is keyed:
            changed = keyed is not (hidden if text is None else text)
            again = {**more, "memory": None} if changed and "memory" in more else more
            out = forward(queried, keyed if text is not None or changed else None, None, **again)
        else:
            out = self._apart(attend or _plain, queried, keyed, valued, extra, more)
        for patch in state.patches(f"{self.kind}_output_patch"):
            out = patch(out, extra)
        return out

    def _attention(self, state: PassState, extra: dict[str, Any]) -> Callable[..., Tensor] | None:
        """Return the function of (q, k, v, options) in place of attention; None for its own."""
        found = state.replacement(self.kind, self.place[:3])
        override = extra.get(OVERRIDE)
        return partial(_override, override) if found is None and override else found

    def _apart(
        self,
        attend: Callable[..., Tensor],
        queried: Tensor,
        keyed: Tensor,
        valued: Tensor,
        extra: dict[str, Any],
        more: dict[str, Any],
    ) -> Tensor:
        """Attend with a function between the layers; image prompts are added as ever."""
        parts = cast("_Attention", self.attention)
        queries = parts.to_q(queried)
        out = attend(queries, parts.to_k(keyed), parts.to_v(valued), extra)
        for layer in parts.to_out:
            out = layer(out)
        prompts: tuple[ImagePromptKeys, ...] = more.get("image_prompts", ())
        if prompts and isinstance(parts.processor, CrossAttention):
            out = parts.processor.add_prompts(cast("Any", parts), queries, out, prompts)
        return out


def _plain(q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any]) -> Tensor:
    return optimized_attention(q, k, v, extra["n_heads"])


def _override(
    override: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any]
) -> Tensor:
    return override(optimized_attention, q, k, v, extra["n_heads"], transformer_options=extra)
