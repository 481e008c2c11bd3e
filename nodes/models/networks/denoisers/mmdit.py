"""The transformer of SD3 and SD3.5 (Esser et al. 2024, arXiv:2403.03206)."""

from collections.abc import Callable
from typing import Any, Protocol, cast

from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.patchify import pad_within
from nodes.models.networks.base.text_inputs import pooled_or_zeros, text
from nodes.models.networks.denoisers.modulation import (
    MODULATION,
    PARTS,
    Modulation,
    accept_modulation,
)
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch


class MMDiTConfig(Protocol):
    """The entries of a configuration that are read here."""

    patch_size: int
    pos_embed_max_size: int
    joint_attention_dim: int
    pooled_projection_dim: int


class MMDiT(Protocol):
    """The interface of diffusers' SD3 transformer."""

    config: MMDiTConfig
    time_text_embed: Callable[[Tensor, Tensor], Tensor]

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        pooled_projections: Tensor | None,
        timestep: Tensor | Modulation,
        block_controlnet_hidden_states: list[Tensor] | None,
        *,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the velocity, shaped as `hidden_states`."""
        ...


class MMDiTAdapter:
    """Calls an SD3 transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = 1
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return the condition unchanged: SD3 reads the texts alone."""
        del size, branch
        return cond

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            SizeLimitError: the model has no positions for so many patches.
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("MMDiT", module)
        height, width = x.shape[-2:]
        largest = model.config.pos_embed_max_size * model.config.patch_size
        patches = pad_within(x, model.config.patch_size, largest)
        tokens = text(cond, x, model.config.joint_attention_dim)
        blocks = cond.residuals.get("blocks")
        steering = list(blocks) if blocks else None
        time: Tensor | Modulation = timestep
        pooled = None
        if MODULATION in cond.extras:
            time = Modulation(cond.extras[MODULATION])
        else:
            pooled = pooled_or_zeros(cond, x, model.config.pooled_projection_dim)
        (output,) = model(patches, tokens, pooled, time, steering, return_dict=False)
        return output[..., :height, :width]


def _embed(module: nn.Module, timestep: Tensor, cond: CondBatch, like: Tensor) -> Tensor:
    """Embed timesteps and pooled texts; see `nodes.models.networks.denoisers.modulation.Embed`."""
    model = cast("MMDiT", module)
    pooled = pooled_or_zeros(cond, like, model.config.pooled_projection_dim)
    return model.time_text_embed(timestep, pooled)


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("nn.Module", SD3Transformer2DModel(**config))
        accept_modulation(model)
        return model

    return build


NETWORK = NetworkClass(
    "mmdit",
    "transformer",
    builder,
    adapter=MMDiTAdapter(),
    embed=_embed,
    keeps_quantized=True,
    repeated_blocks=("JointTransformerBlock",),
    parts=PARTS,
)
