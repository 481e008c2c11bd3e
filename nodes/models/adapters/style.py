"""The values of STYLE_MODEL and MODEL_PATCH links: networks that make tokens or steer a model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from nodegraph.runtime.device_lane import device_lane
from nodegraph.runtime.model_pool import ModelPool
from nodes.models.adapters.controlnet import ControlNetHandle, NetControl
from nodes.models.families.adapters.style import model_patch_spec, style_spec
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.loading.checkpoint import open_network
from nodes.models.loading.handles import SigmaAt
from nodes.models.loading.network import Network
from nodes.models.loading.vision import read_states
from nodes.models.networks.components.style import LAYERS, TOKENS
from nodes.models.networks.components.vision import SeenPictures
from nodes.models.weights.header import read_header
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch


@dataclass(frozen=True, slots=True)
class StyleHandle:
    """A style model: FLUX.1 Redux."""

    __socket__: ClassVar = "STYLE_MODEL"

    network: Network

    @torch.no_grad()
    def tokens(self, seen: SeenPictures) -> Tensor:
        """Return tokens of the text's width: [1, patches of all pictures, width] float32.

        Raises:
            VisionEncoderMismatchError: it was made for another vision encoder.
        """
        states = read_states(seen.last, self.network, self.network.spec.config["seen"])
        return _tokens(self.network, states)


@dataclass(frozen=True, slots=True)
class ModelPatchHandle:
    """A model patch that is no LoRA: USO's projector, or a ControlNet."""

    __socket__: ClassVar = "MODEL_PATCH"

    network: Network
    control: ControlNetHandle | None = None
    """None for the projector."""

    @torch.no_grad()
    def tokens(self, seen: SeenPictures) -> Tensor:
        """Return tokens of the model's width: [1, tokens of all pictures, width] float32.

        Raises:
            VisionEncoderMismatchError: it was made for another vision encoder.
        """
        config = self.network.spec.config
        states = {
            level: read_states(
                seen.states.get(layer), self.network, config["seen"], config["patches"]
            )
            for level, layer in LAYERS.items()
        }
        return _tokens(self.network, states)


def _tokens(network: Network, states: Tensor | Mapping[str, Tensor]) -> Tensor:
    """Return what a network makes of states: [1, tokens of all pictures, width] float32."""
    module = network.module()
    with device_lane(network.placement.device):
        tokens: Tensor = module(states)
    return tokens.flatten(0, 1)[None].float()


@dataclass(frozen=True, slots=True, eq=False)
class StyleTokens:
    """Tokens of the model's own width: a `ConditioningInjection`."""

    tokens: Tensor
    """[1, length, width]."""

    def conditions(self, cond: Cond, number: int, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the tokens, after those of other injections."""
        del number, size, branch
        before = cond.extras.get(TOKENS)
        parts = [part for part in (before, self.tokens) if isinstance(part, Tensor)]
        return replace(cond, extras={**cond.extras, TOKENS: torch.cat(parts, dim=1)})

    def at(self, cond: CondBatch, number: int, sigma: Tensor, sigma_at: SigmaAt) -> CondBatch:
        """Return the conditions unchanged: the tokens hold at every level."""
        del number, sigma, sigma_at
        return cond


@dataclass(frozen=True, slots=True)
class SteeringPatch:
    """A ControlNet that steers a model whatever its conditions: a `ConditioningInjection`."""

    control: NetControl

    def conditions(self, cond: Cond, number: int, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the ControlNet, after its own."""
        del number, size, branch
        return replace(cond, controls=(*cond.controls, self.control))

    def at(self, cond: CondBatch, number: int, sigma: Tensor, sigma_at: SigmaAt) -> CondBatch:
        """Return the conditions unchanged: the ControlNet knows its part of the schedule."""
        del number, sigma, sigma_at
        return cond


def open_style(path: Path, identity: str, models: ModelPool) -> StyleHandle:
    """Open a style model; reads the file's header only.

    Args:
        path: where it lies.
        identity: the file's sha256.
        models: the pool to share networks through.

    Raises:
        UnrecognisedFileError: there is none.
        MissingWeightsError: it is incomplete.
    """
    header = read_header(path)
    return StyleHandle(open_network(models, header, identity, style_spec(header)))


def open_model_patch(path: Path, identity: str, models: ModelPool) -> ModelPatchHandle:
    """Open a model patch; reads the file's header only. Arguments as for `open_style`.

    Raises:
        UnrecognisedFileError: there is none.
        MissingWeightsError: it is incomplete.
    """
    header = read_header(path)
    spec = model_patch_spec(header)
    if isinstance(spec, ControlSpec):
        network = open_network(models, header, identity, spec.network)
        return ModelPatchHandle(network, ControlNetHandle(network, spec))
    return ModelPatchHandle(open_network(models, header, identity, spec))
