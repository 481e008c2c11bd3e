"""Skipped layers: a transformer without some of its blocks."""

from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from nodes.models.networks.base.call_context import wrap
from nodes.models.networks.base.errors import WrongNetworkError


@dataclass(frozen=True, slots=True)
class SkipLayers:
    """Leaves out blocks by their numbers from 0; numbers of no block are ignored."""

    double: tuple[int, ...]
    """The double blocks, which have one half for the text and one for the picture."""
    single: tuple[int, ...] = ()
    """The single blocks, which only FLUX has."""

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`.

        Raises:
            WrongNetworkError: it has no such blocks.
        """
        doubles = _blocks(network, "transformer_blocks")
        if not doubles:
            what = "Skip layer guidance"
            raise WrongNetworkError(
                code="wrong_network", what=what, wanted="a transformer (SD3, FLUX)"
            )
        singles = _blocks(network, "single_transformer_blocks")
        for numbers, blocks in ((self.double, doubles), (self.single, singles)):
            for number in numbers:
                if number < len(blocks):
                    wrap(blocks[number], _pass_through)


def _blocks(network: nn.Module, name: str) -> list[nn.Module]:
    return list(cast("nn.ModuleList", getattr(network, name, ())))


def _pass_through(
    _: object, hidden_states: Tensor, encoder_hidden_states: Tensor, *__: object, **___: Any
) -> tuple[Tensor, Tensor]:
    """Return the inputs of the block."""
    return encoder_hidden_states, hidden_states
