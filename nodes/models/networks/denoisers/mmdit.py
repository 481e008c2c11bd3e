"""The transformer of SD3 and SD3.5 (Esser et al. 2024, arXiv:2403.03206)."""

from typing import Any, Protocol, cast

from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.patchify import padded
from nodes.models.networks.base.text_inputs import pooled_or_zeros, text
from nodes.models.networks.denoisers.errors import TooLargeLatentError
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch


class MMDiTConfig(Protocol):
    """The sizes that are asked for here."""

    patch_size: int
    pos_embed_max_size: int
    joint_attention_dim: int
    pooled_projection_dim: int


class MMDiT(Protocol):
    """What an SD3 transformer offers."""

    config: MMDiTConfig

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        pooled_projections: Tensor,
        timestep: Tensor,
        block_controlnet_hidden_states: list[Tensor] | None,
        *,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """One forward pass: the velocity, shaped as `hidden_states`."""
        ...


class MMDiTAdapter:
    """Asks an SD3 transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    packs = 1
    reads_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return the condition unchanged: SD3 reads the texts alone."""
        del size, branch
        return cond

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """One forward pass.

        Raises:
            TooLargeLatentError: the model has no positions for so many patches.
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("MMDiT", module)
        height, width = x.shape[-2:]
        patches = padded(x, model.config.patch_size)
        largest = model.config.pos_embed_max_size * model.config.patch_size
        if max(patches.shape[-2:]) > largest:
            raise TooLargeLatentError(width, height, largest)
        tokens = text(cond, x, model.config.joint_attention_dim)
        pooled = pooled_or_zeros(cond, x, model.config.pooled_projection_dim)
        blocks = cond.residuals.get("blocks")
        steering = list(blocks) if blocks else None
        (output,) = model(patches, tokens, pooled, timestep, steering, return_dict=False)
        return output[..., :height, :width]


def builder() -> Build:
    """For `nodes.models.networks.factory.skeleton`."""
    from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel

    def build(config: dict[str, Any]) -> nn.Module:
        return cast("nn.Module", SD3Transformer2DModel(**config))

    return build


NETWORK = NetworkClass("mmdit", "transformer", builder, adapter=MMDiTAdapter(), keeps_narrow=True)
