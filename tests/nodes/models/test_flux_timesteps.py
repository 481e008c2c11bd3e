"""Timesteps of FLUX.1 and its ControlNets in bfloat16: embedded exactly as in float32."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.models.networks.base.patchify import patchify
from nodes.models.networks.controlnets import flux as controlnets
from nodes.models.networks.denoisers import flux as denoisers
from nodes.sampling.conditioning.cond import ControlCall
from nodes.sampling.conditioning.latents import LatentFormat
from nodes.values import CondBatch

LEVELS = torch.tensor([0.9661, 0.7595, 0.3137])
X = torch.linspace(-2, 2, 3 * 16 * 4 * 6).reshape(3, 16, 4, 6)
COND = CondBatch(
    torch.linspace(-1, 1, 3 * 7 * 64).reshape(3, 7, 64),
    torch.linspace(0, 1, 3 * 64).reshape(3, 64),
    {"guidance": torch.tensor([3.5, 3.5, 3.5])},
)
TRANSFORMER: dict[str, Any] = {
    "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 32, "num_attention_heads": 2,
    "joint_attention_dim": 64, "pooled_projection_dim": 64, "axes_dims_rope": [4, 14, 14],
}  # fmt: skip


def transformer(dtype: torch.dtype, *, guidance: bool = True) -> Any:
    torch.manual_seed(0)
    return denoisers.NETWORK.builder()({**TRANSFORMER, "guidance_embeds": guidance}).to(dtype)


def controlnet(dtype: torch.dtype, **config: object) -> Any:
    torch.manual_seed(0)
    whole = TRANSFORMER | {"guidance_embeds": True, "in_channels": 64, "hint_channels": 64}
    return controlnets.NETWORK.builder()({**whole, **config}).to(dtype)


def embedded(module: Any, call: Any) -> Tensor:
    """The sinusoidal embedding of the timestep, as the network's first layer gets it."""
    seen: list[Tensor] = []
    embedder = module.time_text_embed.timestep_embedder
    handle = embedder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        call()
    handle.remove()
    (found,) = seen
    return found


def of_transformer(dtype: torch.dtype, *, guidance: bool) -> Tensor:
    module = transformer(dtype, guidance=guidance)
    predict = denoisers.FluxAdapter().predict
    return embedded(module, lambda: predict(module, X.to(dtype), LEVELS, COND))


def of_controlnet(dtype: torch.dtype, hint: Tensor, **config: object) -> Tensor:
    module, steered = controlnet(dtype, **config), transformer(dtype)
    latents = LatentFormat(16, 8, 1.0)
    call = ControlCall(X.to(dtype), LEVELS, LEVELS, COND, float, steered, latents, dict)
    residuals = controlnets.FluxControl().residuals
    return embedded(module, lambda: residuals(module, call, hint.to(dtype), None))


@pytest.mark.parametrize("guidance", [True, False], ids=["dev", "schnell"])
def test_the_transformer_embeds_the_exact_timestep(guidance):
    exact = of_transformer(torch.float32, guidance=guidance)

    found = of_transformer(torch.bfloat16, guidance=guidance)

    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, exact.bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("hint", "config"),
    [
        (patchify(X), {"conditioning_embedding_channels": None}),
        (
            torch.linspace(-1, 1, 3 * 3 * 32 * 48).reshape(3, 3, 32, 48),
            {"conditioning_embedding_channels": 16, "patch_size": 2, "num_single_layers": 0},
        ),
    ],
    ids=["latents", "pixels"],
)
def test_controlnets_embed_the_exact_timestep(hint, config):
    exact = of_controlnet(torch.float32, hint, **config)

    found = of_controlnet(torch.bfloat16, hint, **config)

    torch.testing.assert_close(found, exact.bfloat16(), rtol=0, atol=0)


def test_a_timestep_is_multiplied_in_float32():
    exact = denoisers.ExactTimestep(LEVELS)

    assert torch.equal(exact.to(torch.bfloat16) * 1000, LEVELS * 1000)
