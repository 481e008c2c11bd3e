"""The denoising U-Net of SD 1, SD 2 and SDXL."""

from typing import Any, Protocol, cast

from torch import Tensor, nn

from nodes.networks.builder import Build
from nodes.values import Cond, CondBatch


class UNet(Protocol):
    """What a denoising U-Net offers."""

    def __call__(
        self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, *, return_dict: bool
    ) -> tuple[Tensor]:
        """One forward pass: the prediction, shaped as `sample` but for its channels."""
        ...


class UNetAdapter:
    """Asks a U-Net; see `nodes.networks.adapter.Adapter`."""

    def conditions(self, cond: Cond, height: int, width: int) -> Cond:
        """As it is."""
        del height, width
        return cond

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """One forward pass."""
        (output,) = cast("UNet", module)(x, timestep, cond.tokens.to(x), return_dict=False)
        return output


def builder() -> Build:
    """For `nodes.networks.build.skeleton`."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    def build(config: dict[str, Any]) -> nn.Module:
        return cast("nn.Module", UNet2DConditionModel(**config))

    return build
