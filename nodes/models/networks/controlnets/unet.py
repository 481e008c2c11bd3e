"""ControlNets for U-Nets: copies of the way down that also read a picture (arXiv:2302.05543)."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from torch import Tensor, nn

from nodes.models.families.base.spec import Config
from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.control_hint import ControlHint
from nodes.models.networks.base.text_inputs import text
from nodes.models.networks.denoisers.unets.size_conditioning import AddedCond, added_cond
from nodes.sampling.conditioning.cond import ControlCall, Residuals

_SAME = ("block_out_channels", "layers_per_block", "cross_attention_dim")
"""The entries that a ControlNet's configuration shares with its model's."""


class TextConfig(Protocol):
    """The entry of a configuration that is read here."""

    cross_attention_dim: int


class ControlNet(Protocol):
    """The interface of diffusers' ControlNet."""

    @property
    def config(self) -> "TextConfig":
        """Its configuration."""
        ...

    def __call__(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        controlnet_cond: Tensor | list[Tensor],
        *,
        added_cond_kwargs: AddedCond | None,
        return_dict: bool,
        **union: object,
    ) -> tuple[list[Tensor], Tensor]:
        """Return the residuals of the way down, and of the middle."""
        ...


class UNetControl:
    """Calls a ControlNet; see `nodes.models.networks.base.builder.ControlAdapter`."""

    reads_latent = True

    def fits(self, config: Config, model: Mapping[str, object]) -> bool:
        """Return True for a U-Net of the same widths and depths."""
        return all(model.get(key) == config[key] for key in _SAME)

    def hint(self, config: Config, hint: ControlHint, call: ControlCall) -> Tensor:
        """Return the pixels at the picture's size."""
        del config
        height, width = (side * call.latents.downscale for side in call.x.shape[-2:])
        return hint.pixels(height, width)

    def residuals(
        self, module: nn.Module, call: ControlCall, hint: Tensor, kind: int | None
    ) -> Residuals:
        """Return the residuals of the way down, and of the middle.

        Raises:
            WrongConditioningError: it reads a vector that the conditions lack.
        """
        kinds: dict[str, object] = {}
        if kind is not None:
            known = cast("Tensor", module.task_embedding)
            hot = hint.new_zeros(len(call.x), len(known))
            hot[:, kind] = 1
            kinds = {"control_type": hot, "control_type_idx": [kind]}
        down, middle = cast("ControlNet", module)(
            call.x[:, : call.latents.channels],
            call.timestep,
            text(call.cond, call.x, cast("ControlNet", module).config.cross_attention_dim),
            [hint] if kinds else hint,
            added_cond_kwargs=added_cond(module, call.cond, call.x),
            return_dict=False,
            **kinds,
        )
        return {"down": tuple(down), "middle": (middle,)}


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel

    def build(config: dict[str, Any]) -> nn.Module:
        make = ControlNetUnionModel if "num_control_type" in config else ControlNetModel
        return cast("nn.Module", make(**config))

    return build


NETWORK = NetworkClass(
    "controlnet", "ControlNet", builder, control=UNetControl(), convolves=True, keeps_quantized=True
)
