"""T2I-Adapters: small networks that turn a picture into features for a U-Net (arXiv:2302.08453)."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from torch import Tensor, nn

from nodes.models.families.base.spec import Config
from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.control_hint import Hint
from nodes.sampling.conditioning.cond import ControlCall, Residuals


class Adapter(Protocol):
    """What a T2I-Adapter offers."""

    def __call__(self, x: Tensor) -> list[Tensor]:
        """The features, one tensor a level of the U-Net."""
        ...


class PictureAdapter:
    """Asks a T2I-Adapter; see `nodes.models.networks.base.builder.ControlAdapter`."""

    def fits(self, config: Config, model: Mapping[str, object]) -> bool:
        """Whether its features are as wide as the U-Net's levels.

        SDXL's adapters have one more, which is for the middle; light ones repeat the last.
        """
        own: list[int] = list(config["channels"])
        made = {"full_adapter_xl": own[:-1], "light_adapter": [*own, own[-1]]}
        return model.get("block_out_channels") == made.get(config["adapter_type"], own)

    def hint(self, config: Config, hint: Hint, call: ControlCall) -> Tensor:
        """The pixels, in grey for adapters that read one channel.

        As many times larger than the latent as it is smaller than the picture, and widened to
        what the adapter can divide.
        """
        step = config["downscale_factor"]
        height, width = (
            -(side * call.latents.downscale // -step) * step for side in call.x.shape[-2:]
        )
        pixels = hint.pixels(height, width)
        return pixels.mean(1, keepdim=True) if config["in_channels"] == 1 else pixels

    def ask(
        self, module: nn.Module, call: ControlCall, hint: Tensor, kind: int | None
    ) -> Residuals:
        """What to add at the end of each level on the way down."""
        del kind
        features = cast("Adapter", module)(hint)
        return {"features": tuple(each.expand(len(call.x), -1, -1, -1) for each in features)}


def builder() -> Build:
    """For `nodes.models.networks.factory.skeleton`."""
    from diffusers.models.adapter import T2IAdapter

    def build(config: dict[str, Any]) -> nn.Module:
        return cast("nn.Module", T2IAdapter(**config))

    return build


NETWORK = NetworkClass("t2i_adapter", "T2I-Adapter", builder, control=PictureAdapter())
