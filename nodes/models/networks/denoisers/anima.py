"""The transformer of Anima, which is Cosmos-Predict2's, and the conditioner of its texts."""

from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.call_context import current_memory
from nodes.models.networks.base.errors import WrongConditioningError
from nodes.models.networks.base.patchify import PATCH, pad_within
from nodes.models.networks.base.text_inputs import text
from nodes.models.residency.units import Parts
from nodes.sampling.conditioning.cond import TOKEN_IDS, TOKEN_WEIGHTS, Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

_IDS, _WEIGHTS = (name.format("t5xxl") for name in (TOKEN_IDS, TOKEN_WEIGHTS))


class CosmosConfig(Protocol):
    """The entries of the transformer's configuration that are read here."""

    in_channels: int
    max_size: tuple[int, int, int]


class ConditionerConfig(Protocol):
    """The entries of the conditioner's configuration that are read here."""

    source_dim: int


class Conditioner(Protocol):
    """The interface of diffusers' conditioner."""

    config: ConditionerConfig

    def __call__(self, source_hidden_states: Tensor, target_input_ids: Tensor) -> Tensor:
        """Return what the transformer reads, [batch, 512 or more, dim].

        Args:
            source_hidden_states: [batch, length, source dim]: Qwen3's states.
            target_input_ids: [batch, tokens]: T5's tokens.
        """
        ...


class Anima(Protocol):
    """The interface of diffusers' Cosmos transformer, with the conditioner as a module of it."""

    config: CosmosConfig
    llm_adapter: Conditioner

    def __call__(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        *,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the velocity, [batch, channels, 1, height, width]."""
        ...


class AnimaAdapter:
    """Calls Anima's networks; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = 1
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return the condition unchanged: a text brings T5's tokens along."""
        del size, branch
        return cond

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the conditioner and the transformer, and return the velocity.

        Raises:
            SizeLimitError: the model has no positions for so many patches.
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("Anima", module)
        height, width = x.shape[-2:]
        latent = pad_within(x, PATCH, min(model.config.max_size[1:]))
        mask = model.config.in_channels - latent.shape[1]  # all zeros: nothing is padding
        (output,) = model(
            functional.pad(latent, (0, 0, 0, 0, 0, mask)).unsqueeze(2),
            timestep,
            _condition(model.llm_adapter, cond, x),
            return_dict=False,
        )
        return output.squeeze(2)[..., :height, :width]


def _condition(conditioner: Conditioner, cond: CondBatch, x: Tensor) -> Tensor:
    """Return what the transformer reads, which is made once a run.

    A token's weight multiplies its state.

    Raises:
        WrongConditioningError: text encoders of another family made the conditions.
    """
    states = text(cond, x, conditioner.config.source_dim)
    if _IDS not in cond.extras:
        what = "list of T5's tokens"
        raise WrongConditioningError(what, 0, 1)
    ids, weights = cond.extras[_IDS], cond.extras[_WEIGHTS]

    def make() -> Tensor:
        found = conditioner(states, ids)
        rest = found.shape[1] - weights.shape[1]
        return found * functional.pad(weights.to(found), (0, rest), value=1.0).unsqueeze(-1)

    sources = (conditioner, cond.tokens, ids, weights)
    return current_memory().recall(("conditioner", x.dtype), sources, make)


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.condition_embedders.condition_embedder_anima import AnimaTextConditioner
    from diffusers.models.transformers.transformer_cosmos import CosmosTransformer3DModel

    def build(config: dict[str, Any]) -> nn.Module:
        own = {**config, "in_channels": config["in_channels"] + 1}
        inner = own.pop("conditioner")
        model = cast("Any", CosmosTransformer3DModel(**own, concat_padding_mask=False))
        model.llm_adapter = AnimaTextConditioner(**inner)
        with torch.device("cpu"):
            size = inner["model_dim"] // inner["num_attention_heads"]
            _keep_frequencies(model.llm_adapter.rotary_emb, size)
        return cast("nn.Module", model)

    return build


def _keep_frequencies(rotary: nn.Module, head: int) -> None:
    """Compute the frequencies of the conditioner's positions on the CPU, as no file has them.

    They are no buffer then, so that they stay float32, wherever the weights go.
    """
    make = cast("Callable[[int], nn.Module]", type(rotary))
    del rotary.inv_freq
    rotary.inv_freq = make(head).get_buffer("inv_freq")


NETWORK = NetworkClass(
    "anima",
    "transformer",
    builder,
    adapter=AnimaAdapter(),
    half_dtype=torch.bfloat16,  # the type that it was trained in
    keeps_quantized=True,
    repeated_blocks=("CosmosTransformerBlock",),
    parts=Parts(seldom=("llm_adapter*",)),
)
