"""Transformers without some of their blocks."""

from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from nodes.models.networks.base.call_context import wrap
from nodes.models.networks.modifiers.errors import WrongNetworkError


@dataclass(frozen=True, slots=True)
class Skipped:
    """Leaves out blocks by their numbers from 0; those that there aren't don't matter."""

    double: tuple[int, ...]
    """Of those with a half for the text and one for the picture."""
    single: tuple[int, ...] = ()
    """Of those for both together, which only FLUX has."""

    def alter(self, network: nn.Module) -> None:
        """See `nodes.sampling.conditioning.cond.Alteration`.

        Raises:
            WrongNetworkError: it has no such blocks.
        """
        doubles = _blocks(network, "transformer_blocks")
        if not doubles:
            what = "Skip layer guidance"
            raise WrongNetworkError(what, "a transformer (SD3, FLUX)")
        singles = _blocks(network, "single_transformer_blocks")
        for numbers, blocks in ((self.double, doubles), (self.single, singles)):
            for number in numbers:
                if number < len(blocks):
                    wrap(blocks[number], _pass)


def _blocks(network: nn.Module, name: str) -> list[nn.Module]:
    return list(cast("nn.ModuleList", getattr(network, name, ())))


def _pass(
    _: object, hidden_states: Tensor, encoder_hidden_states: Tensor, *__: object, **___: Any
) -> tuple[Tensor, Tensor]:
    """What the block was given."""
    return encoder_hidden_states, hidden_states
