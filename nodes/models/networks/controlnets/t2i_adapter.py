"""T2I-Adapters: small networks that turn a picture into features for a U-Net (arXiv:2302.08453)."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from torch import Tensor, nn

from nodes.models.families.base.spec import Config
from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.control_hint import ControlHint
from nodes.sampling.conditioning.cond import ControlCall, Residuals


class Adapter(Protocol):
    """The interface of diffusers' T2I-Adapter."""

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Return the features, one tensor a level of the U-Net."""
        ...


class T2IAdapterControl:
    """Calls a T2I-Adapter; see `nodes.models.networks.base.builder.ControlAdapter`."""

    reads_latent = False

    def fits(self, config: Config, model: Mapping[str, object]) -> bool:
        """Return True if its features are as wide as the U-Net's levels.

        SDXL's adapters have one more, which is for the middle; light ones repeat the last.
        """
        own: list[int] = list(config["channels"])
        made = {"full_adapter_xl": own[:-1], "light_adapter": [*own, own[-1]]}
        return model.get("block_out_channels") == made.get(config["adapter_type"], own)

    def hint(self, config: Config, hint: ControlHint, call: ControlCall) -> Tensor:
        """Return the pixels, in grey for adapters that read one channel.

        Their size is the picture's, rounded up to a multiple of the adapter's downscale factor.
        """
        step = config["downscale_factor"]
        height, width = (
            -(side * call.latents.downscale // -step) * step for side in call.x.shape[-2:]
        )
        pixels = hint.pixels(height, width)
        return pixels.mean(1, keepdim=True) if config["in_channels"] == 1 else pixels

    def residuals(
        self, module: nn.Module, call: ControlCall, hint: Tensor, kind: int | None
    ) -> Residuals:
        """Return the features to add at the end of each level on the way down."""
        del kind
        features = cast("Adapter", module)(hint)
        return {"features": tuple(each.expand(len(call.x), -1, -1, -1) for each in features)}


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.adapter import T2IAdapter

    def build(config: dict[str, Any]) -> nn.Module:
        return cast("nn.Module", T2IAdapter(**config))

    return build


NETWORK = NetworkClass(
    "t2i_adapter", "T2I-Adapter", builder, control=T2IAdapterControl(), convolves=True
)
