"""Run a text encoder over chunks of tokens, and apply the prompt's weights to the result."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from nodes.models.families.base.spec import TextRules
from nodes.models.networks.base.builder import TextNetwork
from nodes.models.text.chunks import Chunk, empty_chunk
from nodes.models.text.pictures import Seen, picture_positions, place_pictures
from nodes.sampling.conditioning.cond import TOKEN_IDS, TOKEN_WEIGHTS

Chunks: TypeAlias = Sequence[Chunk]
"""The chunks of a prompt, all of one length."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt as a model reads it."""

    tokens: Tensor
    """[1, length of all chunks, width] float32."""
    pooled: Tensor | None
    """[1, width] float32: the last layer at the first chunk's end token; None for T5."""
    extras: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Further inputs of the model, for `Cond.extras`: [1, …] each."""


@dataclass(frozen=True, slots=True)
class _States:
    """The hidden states of one chunk: [length, width] each."""

    chosen: Tensor
    last: Tensor


@torch.no_grad()
def encode(
    network: TextNetwork,
    prompts: Sequence[Chunks],
    rules: TextRules,
    layers: Sequence[int],
    seen: Seen | None = None,
) -> list[Encoded]:
    """Encode prompts; chunks of one length go through the network together.

    A token with a weight is moved along the line from the empty prompt's token at the same
    position: z = (z - z_empty) * weight + z_empty.

    Args:
        network: the text encoder.
        prompts: at least one chunk each.
        rules: the family's.
        layers: those to read, counted as `TextRules` says; if there is one that the encoder lacks,
            it is the last with its norm alone.
        seen: the pictures in the prompts.
    """
    rows = [_with_empty(chunks, rules) for chunks in prompts]
    run = _Run(network, rules, layers, seen or {})
    states = iter(run.states([row for group in rows for row in group]))
    return [
        _weigh(network, chunks, [next(states) for _ in group], rules)
        for chunks, group in zip(prompts, rows, strict=True)
    ]


def _with_empty(chunks: Chunks, rules: TextRules) -> Chunks:
    """Add the chunk of an empty prompt at the end, if any token has a weight."""
    weighted = any(token.weight != 1.0 for section in chunks for token in section)
    return [*chunks, empty_chunk(rules, len(chunks[0]))] if weighted else chunks


def _weigh(
    network: TextNetwork, chunks: Chunks, states: Sequence[_States], rules: TextRules
) -> Encoded:
    hidden = torch.stack([state.chosen for state in states]).float()[:, rules.dropped :]
    if len(states) > len(chunks):
        kept = [section[rules.dropped :] for section in chunks]
        weights = hidden.new_tensor([[token.weight for token in section] for section in kept])
        empty = hidden[-1:]
        hidden = (hidden[:-1] - empty) * weights[..., None] + empty
    if rules.zeroes_padding:
        hidden = hidden * _presence(chunks, rules).to(hidden)
    pooled = _pool(network, chunks[0], states[0].last, rules) if network.pools else None
    return Encoded(hidden.flatten(0, 1)[None], pooled)


def _presence(chunks: Chunks, rules: TextRules) -> Tensor:
    """Return 1 for each token that is no padding, else 0: [chunks, length, 1]."""
    rows = [[not token.is_padding for token in section[rules.dropped :]] for section in chunks]
    return torch.tensor(rows).unsqueeze(-1)


def token_extras(encoder: str, chunks: Chunks) -> dict[str, Tensor]:
    """Return the ids of a prompt's tokens, [1, tokens] int64, and their weights, float32."""
    tokens = [token for chunk in chunks for token in chunk]
    return {
        TOKEN_IDS.format(encoder): torch.tensor([[token.id for token in tokens]]),
        TOKEN_WEIGHTS.format(encoder): torch.tensor([[token.weight for token in tokens]]),
    }


def _pool(network: TextNetwork, section: Chunk, last: Tensor, rules: TextRules) -> Tensor:
    end = [token.id if token.vector is None else None for token in section].index(rules.end)
    pooled = network.norm(last[None, end])
    return (network.project(pooled) if rules.projected else pooled).float()


@dataclass(frozen=True, slots=True)
class _Run:
    """Runs a text encoder over rows of tokens."""

    network: TextNetwork
    rules: TextRules
    layers: Sequence[int]
    seen: Seen

    def states(self, rows: Chunks) -> list[_States]:
        """Return the states of each row; rows of one length share a pass."""
        numbers: defaultdict[int, list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            numbers[len(row)].append(number)
        found: dict[int, _States] = {}
        for group in numbers.values():
            chosen, last = self._pass([rows[number] for number in group])
            found |= {n: _States(chosen[at], last[at]) for at, n in enumerate(group)}
        return [found[number] for number in range(len(rows))]

    def _pass(self, rows: Chunks) -> tuple[Tensor, Tensor]:
        """Return the states of the layers to read, side by side, and of the last that is run.

        Both are [rows, length, width]. Only an encoder whose last layer is pooled runs more layers
        than are read.
        """
        network, depth = self.network, self.network.depth
        numbers = [depth + 1 + layer if layer < 0 else layer for layer in self.layers]
        there = all(0 < number <= depth for number in numbers)
        deepest = max(numbers) if there and not network.pools else depth
        last = embedded = embed(network, rows)
        pictures = place_pictures(rows, embedded, self.seen) if self.seen else None
        mask, positions = _attention_mask(rows, self.rules), positions_of(rows, self.rules)
        states = network.states(embedded, mask, positions, pictures)
        kept: dict[int, Tensor] = {}
        for number, last in enumerate(states, 1):
            if number in numbers:
                kept[number] = last
            if number >= deepest:
                break
        if not there:
            return network.norm(last), last
        chosen = [network.norm(kept[n]) if self.rules.final_norm else kept[n] for n in numbers]
        return chosen[0] if len(chosen) == 1 else torch.cat(chosen, dim=-1), last


def _attention_mask(rows: Chunks, rules: TextRules) -> Tensor | None:
    """Return which tokens of each row are no padding, [rows, length]; None if all count."""
    if not rules.masks_padding or not _is_padded(rows):
        return None
    return torch.tensor([[not token.is_padding for token in row] for row in rows])


def positions_of(rows: Chunks, rules: TextRules) -> Tensor | None:
    """Return the tokens' positions, [rows, length]; None if they are counted from 0.

    If there are pictures they have three coordinates: [3, rows, length].
    """
    padding = rules.padding_position if _is_padded(rows) else None
    seen = any(token.picture for row in rows for token in row)
    if padding is None and not seen:
        return None
    positions = picture_positions(rows) if seen else torch.arange(len(rows[0])).repeat(len(rows), 1)
    if padding is not None:
        positions[..., torch.tensor([[token.is_padding for token in row] for row in rows])] = (
            padding
        )
    return positions


def _is_padded(rows: Chunks) -> bool:
    return any(token.is_padding for row in rows for token in row)


def embed(network: TextNetwork, rows: Chunks) -> Tensor:
    """Look up the tokens' embeddings, and put in the vectors of textual inversions."""
    ids = torch.tensor(
        [[token.id for token in row] for row in rows], device=network.token_embedding.device
    )
    embedded = functional.embedding(ids, network.token_embedding)
    for row, tokens in enumerate(rows):
        for column, token in enumerate(tokens):
            if token.vector is not None:
                embedded[row, column] = token.vector.to(embedded)
    return embedded
