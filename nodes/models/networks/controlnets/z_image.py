"""ControlNets for Z-Image: blocks of their own, and the first parts of the transformer itself."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.imaging.batch import repeat_to_batch
from nodes.models.families.base.spec import Config
from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.control_hint import ControlHint
from nodes.models.networks.base.patchify import PATCH, pad_to_patch
from nodes.models.networks.base.text_inputs import text
from nodes.models.networks.denoisers.z_image import LAYER
from nodes.sampling.conditioning.cond import ControlCall, Residuals

_SHARED = (
    *("t_scale", "t_embedder", "all_x_embedder", "cap_embedder", "rope_embedder"),
    *("noise_refiner", "context_refiner", "x_pad_token", "cap_pad_token"),
)
"""The parts of the transformer that its ControlNets use."""


class ZImageControlNet(Protocol):
    """The interface of diffusers' ControlNet for Z-Image."""

    def __call__(
        self,
        x: list[Tensor],
        t: Tensor,
        cap_feats: list[Tensor],
        control_context: list[Tensor],
        conditioning_scale: float,
    ) -> dict[int, Tensor]:
        """Return the residuals by the numbers of the transformer's layers.

        They are [batch, length of picture and text, width].
        """
        ...


class SteeredConfig(Protocol):
    """The entry of the transformer's configuration that is read here."""

    cap_feat_dim: int


class Steered(Protocol):
    """The transformer."""

    config: SteeredConfig


class ZImageControl:
    """Calls a ControlNet for Z-Image; see `nodes.models.networks.base.builder.ControlAdapter`."""

    reads_latent = True

    def fits(self, config: Config, model: Mapping[str, object]) -> bool:
        """Return True for a Z-Image transformer of the same width."""
        return "cap_feat_dim" in model and model.get("dim") == config["dim"]

    def hint(self, config: Config, hint: ControlHint, call: ControlCall) -> Tensor:
        """Return the latent, which parts of a picture to fill are kept, and that picture's latent.

        What is not there is zeros.
        """
        height, width = call.x.shape[-2:]
        if hint.fill is None:
            latent = hint.latent(height, width, call.latents)
            more = config["control_in_dim"] - latent.shape[1]
            return functional.pad(latent, (0, 0, 0, 0, 0, more))
        kept = hint.fill.latent(height, width, call.latents)
        visible = _kept_part(hint.fill, height, width, call.latents.downscale).to(kept)
        latent = hint.latent(height, width, call.latents) if hint.follows else kept[:1] * 0
        batch = max(len(part) for part in (latent, visible, kept))
        rows = [repeat_to_batch(part, batch) for part in (latent, visible, kept)]
        return torch.cat(rows, dim=1)

    def residuals(
        self, module: nn.Module, call: ControlCall, hint: Tensor, kind: int | None
    ) -> Residuals:
        """Return the residuals of the layers that it steers.

        They depend on the strength by more than a factor: since version 2 it also steers the
        picture's own blocks, which are made anew here.
        """
        del kind
        x = pad_to_patch(call.x, PATCH).unsqueeze(2)
        context = pad_to_patch(hint, PATCH).expand(len(x), -1, -1, -1).unsqueeze(2)
        tokens = text(call.cond, call.x, cast("Steered", call.module).config.cap_feat_dim)
        own, lent = vars(module), {name: getattr(call.module, name) for name in _SHARED}
        own.update(lent)  # not by setattr, which would make them parts of the network
        try:
            made = cast("ZImageControlNet", module)(
                list(x.unbind()),
                1 - call.timestep,
                list(tokens.unbind()),
                list(context.unbind()),
                call.strength,
            )
        finally:
            own.update(dict.fromkeys(_SHARED))
        return {LAYER.format(number): (state / call.strength,) for number, state in made.items()}


def _kept_part(hint: ControlHint, height: int, width: int, downscale: int) -> Tensor:
    """Return 1 for each pixel of the latent whose picture is kept, else 0: [batch, 1, h, w]."""
    visible = (hint.visible_mask(height * downscale, width * downscale) > 1 / 2).float()
    return functional.interpolate(visible, (height, width), mode="nearest")


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel

    def build(config: dict[str, Any]) -> nn.Module:
        return cast("nn.Module", ZImageControlNetModel(**config))

    return build


NETWORK = NetworkClass(
    "z_image_controlnet",
    "ControlNet",
    builder,
    control=ZImageControl(),
    keeps_quantized=True,
)
