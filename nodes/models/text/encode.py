"""Run a text encoder over sections of tokens, and put the prompt's weights on the result."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from nodes.models.families.base.spec import TextRules
from nodes.models.networks.base.builder import TextNetwork
from nodes.models.text.chunks import Section, empty_section

Sections: TypeAlias = Sequence[Section]
"""A prompt's, all of one length."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt as a model reads it."""

    tokens: Tensor
    """[1, length of all sections, width] float32."""
    pooled: Tensor | None
    """[1, width] float32: the last layer at the first section's end token; None if T5 alone."""


@dataclass(frozen=True, slots=True)
class _States:
    """What one row became: [length, width] each."""

    chosen: Tensor
    last: Tensor


@torch.no_grad()
def encode(
    network: TextNetwork, prompts: Sequence[Sections], rules: TextRules, layer: int
) -> list[Encoded]:
    """Encode prompts; sections of one length go through the network together.

    Where a weight is not 1, a token is moved along the line from what an empty prompt has in
    its place: z = (z - z_empty) * weight + z_empty.

    Args:
        network: the text encoder.
        prompts: at least one section each.
        rules: the family's.
        layer: which layer to read, -1 is the last; beyond the first, the last with its norm.
    """
    rows = [_with_empty(sections, rules) for sections in prompts]
    states = iter(_run(network, [row for group in rows for row in group], rules, layer))
    return [
        _encoded(network, sections, [next(states) for _ in group], rules)
        for sections, group in zip(prompts, rows, strict=True)
    ]


def _with_empty(sections: Sections, rules: TextRules) -> Sections:
    """With an empty prompt's section at the end, if there are weights that need it."""
    weighted = any(token.weight != 1.0 for section in sections for token in section)
    return [*sections, empty_section(rules, len(sections[0]))] if weighted else sections


def _encoded(
    network: TextNetwork, sections: Sections, states: Sequence[_States], rules: TextRules
) -> Encoded:
    hidden = torch.stack([state.chosen for state in states]).float().cpu()
    if len(states) > len(sections):
        weights = hidden.new_tensor([[token.weight for token in section] for section in sections])
        empty = hidden[-1:]
        hidden = (hidden[:-1] - empty) * weights[..., None] + empty
    pooled = _pooled(network, sections[0], states[0].last, rules) if network.pools else None
    return Encoded(hidden.flatten(0, 1)[None], pooled)


def _pooled(network: TextNetwork, section: Section, last: Tensor, rules: TextRules) -> Tensor:
    end = [token.id if token.vector is None else None for token in section].index(rules.end)
    pooled = network.norm(last[None, end])
    return (network.project(pooled) if rules.projected else pooled).float().cpu()


def _run(network: TextNetwork, rows: Sections, rules: TextRules, layer: int) -> list[_States]:
    """The states of each row: one pass for all rows of a length."""
    numbers: defaultdict[int, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        numbers[len(row)].append(number)
    found: dict[int, _States] = {}
    for group in numbers.values():
        chosen, last = _pass(network, [rows[number] for number in group], rules, layer)
        found |= {n: _States(chosen[at], last[at]) for at, n in enumerate(group)}
    return [found[number] for number in range(len(rows))]


def _pass(
    network: TextNetwork, rows: Sections, rules: TextRules, layer: int
) -> tuple[Tensor, Tensor]:
    """The states that count, and those after the last layer: [rows, length, width]."""
    wanted = layer % network.depth if -network.depth <= layer < 0 else None
    chosen = last = embedded = _embed(network, rows)
    for number, last in enumerate(network.states(embedded)):
        if number == wanted:
            chosen = last
    if wanted is None:
        return network.norm(last), last
    return network.norm(chosen) if rules.final_norm else chosen, last


def _embed(network: TextNetwork, rows: Sections) -> Tensor:
    """Look the tokens up, and put embeddings' vectors in their places."""
    ids = torch.tensor([[token.id for token in row] for row in rows], device=network.words.device)
    embedded = functional.embedding(ids, network.words)
    for row, tokens in enumerate(rows):
        for column, token in enumerate(tokens):
            if token.vector is not None:
                embedded[row, column] = token.vector.to(embedded)
    return embedded
