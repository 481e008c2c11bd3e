"""DiffSynth-Studio's ControlNets for Qwen-Image: two layers for the output of each block.

What block i puts out, x, becomes x + strength * W2 gelu(W1 (norm(x) + norm(y))), with layers of its
own and the hint's patches, y, which one layer has brought to the width of x. This follows the model
and the pipeline published in DiffSynth-Studio (Apache-2.0).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.families.base.spec import Config
from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.control_hint import ControlHint
from nodes.models.networks.base.patchify import PATCH, patchify
from nodes.sampling.conditioning.cond import ControlCall, Residuals
from nodes.sampling.conditioning.state_residuals import STATES, StateResidual


class ControlBlock(nn.Module):
    """The layers for one block of the transformer.

    Args:
        width: of its states.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.x_rms = nn.RMSNorm(width, eps=1e-6)
        self.y_rms = nn.RMSNorm(width, eps=1e-6)
        self.input_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)

    def forward(self, states: Tensor, hint: Tensor) -> Tensor:
        """Return the residual: [batch, patches, width].

        Args:
            states: [batch, patches, width].
            hint: [batch or 1, patches, width].
        """
        inner = self.input_proj(self.x_rms(states) + self.y_rms(hint))
        residual: Tensor = self.output_proj(functional.gelu(inner))
        return residual


class BlockwiseControlNet(nn.Module):
    """The hint's embedder, and the layers for each block.

    Args:
        blocks: of the transformer.
        channels: of the hint: the latent's, and the mask if it reads one.
        width: of the transformer's states.
    """

    def __init__(self, blocks: int, channels: int, width: int) -> None:
        super().__init__()
        self.img_in = nn.Linear(channels * PATCH**2, width)
        self.controlnet_blocks = nn.ModuleList(ControlBlock(width) for _ in range(blocks))


class BlockwiseControl:
    """Calls one of them; see `nodes.models.networks.base.builder.ControlAdapter`."""

    reads_latent = True

    def fits(self, config: Config, model: Mapping[str, object]) -> bool:
        """Return True for a Qwen-Image transformer of the same width and as many blocks."""
        heads, head = model.get("num_attention_heads"), model.get("attention_head_dim")
        if "axes_dims_rope" not in model or not isinstance(heads, int) or not isinstance(head, int):
            return False
        same = heads * head == config["width"] and model.get("num_layers") == config["blocks"]
        single = not model.get("use_layer3d_rope")  # residuals are for a picture without layers
        return same and single and "joint_attention_dim" in model

    def hint(self, config: Config, hint: ControlHint, call: ControlCall) -> Tensor:
        """Return the latent's patches, for inpainting with the mask's."""
        height, width = (side + -side % PATCH for side in call.x.shape[-2:])
        latent = hint.latent(height, width, call.latents)
        if config["channels"] > latent.shape[1]:
            factor = call.latents.downscale
            kept = hint.visible_mask(height * factor, width * factor).to(latent)
            kept = functional.interpolate(kept, (height, width), mode="nearest")
            latent = torch.cat([latent, kept.expand(len(latent), -1, -1, -1)], dim=1)
        return patchify(latent)

    def residuals(
        self, module: nn.Module, call: ControlCall, hint: Tensor, kind: int | None
    ) -> Residuals:
        """Return a residual for each block, which is made once the block has computed."""
        del call, kind
        net = cast("BlockwiseControlNet", module)
        seen = net.img_in(hint)
        made = (StateResidual(partial(_made_of, block, seen)) for block in net.controlnet_blocks)
        return {STATES: tuple(cast("Tensor", residual) for residual in made)}


def _made_of(block: nn.Module, hint: Tensor, states: Tensor) -> Tensor:
    """Return a block's residual for the states of the picture, which lie before references'."""
    own = states[:, : hint.shape[1]].to(hint)
    residual: Tensor = block(own, hint)
    return residual.to(states)


def builder() -> Build:
    """Return the function that builds the network."""

    def build(config: dict[str, Any]) -> nn.Module:
        return BlockwiseControlNet(**config)

    return build


NETWORK = NetworkClass(
    "qwen_image_blockwise_controlnet",
    "ControlNet",
    builder,
    control=BlockwiseControl(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
)
