"""ControlNets for U-Nets: copies of the way down that read a picture too (arXiv:2302.05543)."""

from typing import Any, Protocol, cast

from torch import Tensor, nn

from nodes.networks.builder import Build
from nodes.values import ControlCall, Residuals


class ControlNet(Protocol):
    """What a ControlNet offers."""

    def __call__(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        controlnet_cond: Tensor | list[Tensor],
        *,
        return_dict: bool,
        **union: object,
    ) -> tuple[list[Tensor], Tensor]:
        """What to add on the way down, and in the middle."""
        ...


def ask(module: nn.Module, call: ControlCall, hint: Tensor, kind: int | None) -> Residuals:
    """One forward pass.

    Args:
        module: the network.
        call: of the model, on the network's device and in its precision.
        hint: [batch or 1, 3, height, width] in [0, 1], eight times as large as the latent.
        kind: for a network that knows several kinds of hint, the number of this one.
    """
    kinds: dict[str, object] = {}
    if union := getattr(module, "task_embedding", None):
        hot = hint.new_zeros(len(call.x), len(cast("Tensor", union)))
        kinds = {"control_type": hot, "control_type_idx": [kind]}
        hot[:, kind] = 1
    down, middle = cast("ControlNet", module)(
        call.x,
        call.timestep,
        call.cond.tokens.to(call.x),
        [hint] if kinds else hint,
        return_dict=False,
        **kinds,
    )
    return {"down": tuple(down), "middle": (middle,)}


def builder() -> Build:
    """For `nodes.networks.build.skeleton`."""
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel

    def build(config: dict[str, Any]) -> nn.Module:
        make = ControlNetUnionModel if "num_control_type" in config else ControlNetModel
        return cast("nn.Module", make(**config))

    return build
