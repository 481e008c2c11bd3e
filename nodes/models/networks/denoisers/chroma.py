"""The transformer of Chroma (https://huggingface.co/lodestones/Chroma, Apache-2.0)."""

import warnings
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.patchify import PATCH, pad_to_patch, patchify, positions, unpatchify
from nodes.models.networks.base.text_inputs import text
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

_TIMES = 1000
"""The factor that timesteps, and the numbers of modulations, have before they are embedded."""


class ChromaConfig(Protocol):
    """The entries of a configuration that are read here."""

    joint_attention_dim: int


class Chroma(Protocol):
    """The interface of diffusers' Chroma transformer."""

    config: ChromaConfig

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        timestep: "Time",
        img_ids: Tensor,
        txt_ids: Tensor,
        *,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the velocity of every patch, shaped as `hidden_states`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Time:
    """A timestep that stays float32, with the dtype that the network computes in.

    diffusers rounds timesteps to that dtype before it embeds them.
    """

    level: Tensor
    """[batch] float32 in [0, 1]."""
    dtype: torch.dtype = torch.float32

    def to(self, dtype: torch.dtype) -> "Time":
        """Return it with the dtype."""
        return replace(self, dtype=dtype)

    def __mul__(self, factor: float) -> "Time":
        """Return it as it is: `ModulationInputs` multiplies it."""
        del factor
        return self


class ChromaAdapter:
    """Calls a Chroma transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = PATCH**2
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return the condition unchanged: Chroma reads the texts alone."""
        del size, branch
        return cond

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("Chroma", module)
        height, width = x.shape[-2:]
        latent = pad_to_patch(x, PATCH)
        tokens = text(cond, x, model.config.joint_attention_dim)
        (output,) = model(
            patchify(latent),
            tokens,
            Time(timestep.float()),
            positions(latent),
            torch.zeros(tokens.shape[1], 3, device=x.device),
            return_dict=False,
        )
        return unpatchify(output, latent.shape[-2])[..., :height, :width]


class ModulationInputs(nn.Module):
    """The inputs of the network that makes the modulations: sines and cosines of three numbers.

    They are the time, a guidance of 0, and which modulation it is. diffusers has a table of the
    last, which a network without weights lacks.

    Args:
        numbers: of an input.
        modulations: the number of modulations, which are vectors as wide as the network.
    """

    def __init__(self, numbers: int, modulations: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.modulations = modulations

    def forward(self, time: Time) -> Tensor:
        """Return [batch, modulations, numbers] in the time's dtype."""
        quarter = self.numbers // 4
        guidance = torch.zeros_like(time.level)
        given = torch.cat(
            [_waves(number * _TIMES, quarter) for number in (time.level, guidance)], dim=1
        )
        which = _places(self.modulations, 2 * quarter, time.level.device)
        batch = len(given)
        made = torch.cat(
            [
                given[:, None].expand(-1, self.modulations, -1),
                which[None].expand(batch, -1, -1),
            ],
            dim=-1,
        )
        return made.to(time.dtype)


@lru_cache(maxsize=4)
def _places(number: int, width: int, device: torch.device) -> Tensor:
    """Return the waves of the numbers from 0 on, made once: [number, width] float32."""
    return _waves(torch.arange(number, device="cpu").float() * _TIMES, width).to(device)


def _waves(numbers: Tensor, width: int) -> Tensor:
    """Return cosines and sines of numbers, [number], as times are embedded: [number, width]."""
    from diffusers.models.embeddings import get_timestep_embedding

    embed = cast("Any", get_timestep_embedding)
    return cast("Tensor", embed(numbers, width, flip_sin_to_cos=True, downscale_freq_shift=0))


@cache
def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.transformers.transformer_chroma import ChromaTransformer2DModel

    def build(config: dict[str, Any]) -> nn.Module:
        with warnings.catch_warnings():  # diffusers warns of an import of its own
            warnings.filterwarnings("ignore", message=".FluxPosEmbed.", category=FutureWarning)
            model = cast("Any", ChromaTransformer2DModel(**config))
        modulations = 3 * model.config.num_single_layers + 12 * model.config.num_layers + 2
        model.time_text_embed = ModulationInputs(
            model.config.approximator_num_channels, modulations
        )
        return cast("nn.Module", model)

    return build


NETWORK = NetworkClass(
    "chroma",
    "transformer",
    builder,
    adapter=ChromaAdapter(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    repeated_blocks=("ChromaTransformerBlock", "ChromaSingleTransformerBlock"),
)
