"""Run a CLIP text encoder over sections of tokens, and put the prompt's weights on the result."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from nodes.families.family import TextRules
from nodes.networks.clip import Clip
from nodes.text.sections import Token, empty_section


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt as a model reads it."""

    tokens: Tensor
    """[1, sections * length, width] float32."""
    pooled: Tensor
    """[1, width] float32: the last layer at the first section's end token."""


@torch.no_grad()
def encode(
    clip: Clip, sections: Sequence[Sequence[Token]], rules: TextRules, layer: int
) -> Encoded:
    """Encode a prompt.

    Where a weight is not 1, a token is moved along the line from what an empty prompt has in
    its place: z = (z - z_empty) * weight + z_empty.

    Args:
        clip: the text encoder.
        sections: at least one, all `rules.length` long.
        rules: the family's.
        layer: which layer to read, -1 is the last; beyond the first, the last.
    """
    weighted = any(token.weight != 1.0 for section in sections for token in section)
    rows = [*sections, empty_section(rules)] if weighted else list(sections)
    hidden, last = _run(clip, rows, layer)
    if layer == -1 or rules.final_norm:
        hidden = clip.final_layer_norm(hidden)
    hidden = hidden.float()
    if weighted:
        weights = hidden.new_tensor([[token.weight for token in section] for section in sections])
        empty = hidden[-1:]
        hidden = (hidden[:-1] - empty) * weights[..., None] + empty
    end = [token.id if token.vector is None else None for token in sections[0]].index(rules.end)
    pooled = cast("Tensor", clip.final_layer_norm(last[:1, end])).float()
    return Encoded(hidden.flatten(0, 1)[None], pooled)


def _run(clip: Clip, rows: Sequence[Sequence[Token]], layer: int) -> tuple[Tensor, Tensor]:
    """The hidden states after the wanted layer, and after the last: [rows, length, width]."""
    layers = clip.encoder.layers
    wanted = layer % len(layers) if -len(layers) <= layer < 0 else len(layers) - 1
    hidden = _embed(clip, rows)
    chosen = hidden
    for number, block in enumerate(layers):
        hidden = cast("Tensor", block(hidden, None, is_causal=True))
        if number == wanted:
            chosen = hidden
    return chosen, hidden


def _embed(clip: Clip, rows: Sequence[Sequence[Token]]) -> Tensor:
    """Look the tokens up, put embeddings' vectors in their places, add positions."""
    table, positions = clip.embeddings.token_embedding.weight, clip.embeddings.position_embedding
    ids = torch.tensor([[token.id for token in row] for row in rows], device=table.device)
    hidden = cast("Tensor", clip.embeddings.token_embedding(ids))
    for row, tokens in enumerate(rows):
        for column, token in enumerate(tokens):
            if token.vector is not None:
                hidden[row, column] = token.vector.to(hidden)
    return hidden + positions.weight[: ids.shape[1]]
