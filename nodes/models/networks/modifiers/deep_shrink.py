"""Deep shrink, by Kohya: a U-Net computes large pictures at a smaller size at first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from nodes.imaging.resize import LatentMethod, resize
from nodes.models.networks.base.call_context import current, wrap
from nodes.models.networks.modifiers.unet_parts import input_blocks, join_by, unet_of
from nodes.sampling.noise_schedule.errors import BadSettingError


@dataclass(frozen=True, slots=True)
class DeepShrink:
    """Scales hidden states down after a block of the way down, and up on the way back."""

    block: int
    """The block's number in the original layout, where 0 is the first convolution."""
    factor: float
    start: float
    end: float
    """The part of the schedule it holds for, in fractions."""
    after_skip: bool
    """True if the block's skip connection keeps its size."""
    down: LatentMethod
    up: LatentMethod

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`.

        Raises:
            WrongNetworkError: it is no U-Net.
            BadSettingError: it has fewer blocks.
        """
        unet = unet_of(network, "PatchModelAddDownscale")
        blocks = [*input_blocks(unet), [unet.mid_block.resnets[0]]]
        if self.block > len(blocks) - 2:
            what = f"is {self.block}, but the model has {len(blocks) - 2} blocks on its way down"
            hint = f"Use a number from 1 to {len(blocks) - 2}."
            raise BadSettingError(name="block_number", what=what, hint=hint)
        if self.after_skip:
            wrap(blocks[self.block + 1][0], self._before)
        else:
            wrap(blocks[self.block][-1], self._after)
        join_by(unet, self._join)

    def _before(
        self, forward: Callable[..., Any], hidden: Tensor, *args: object, **kwargs: object
    ) -> Any:
        return forward(self._smaller(hidden), *args, **kwargs)

    def _after(self, forward: Callable[..., Any], *args: object, **kwargs: object) -> Any:
        made = forward(*args, **kwargs)
        if isinstance(made, Tensor):
            return self._smaller(made)
        return (self._smaller(cast("tuple[Tensor]", made)[0]),)

    def _smaller(self, hidden: Tensor) -> Tensor:
        if not current().is_between(self.start, self.end):
            return hidden
        if current().steered:
            name, what = "start_percent", "and end_percent overlap with those of a ControlNet"
            hint = "The ControlNet's output has full size: let it end before, or begin after."
            raise BadSettingError(name, what, hint)
        height, width = (max(1, round(side / self.factor)) for side in hidden.shape[-2:])
        return resize(hidden, width, height, self.down)

    def _join(self, hidden: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        height, width = skip.shape[-2:]
        if hidden.shape[-2:] != skip.shape[-2:]:
            hidden = resize(hidden, width, height, self.up)
        return hidden, skip
