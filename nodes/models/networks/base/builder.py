"""The record that each network file ends with: all that is particular to one class of network."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from nodes.models.families.base.spec import Config
from nodes.models.networks.base.control_hint import Hint
from nodes.sampling.conditioning.cond import Cond, CondBatch, ControlCall, Residuals
from nodes.sampling.conditioning.denoiser import Branch

Build: TypeAlias = Callable[[dict[str, Any]], nn.Module]
"""From a configuration to the network."""
Builder: TypeAlias = Callable[[], Build]
"""Imports the network's class."""


class Adapter(Protocol):
    """Knows what one class of denoising network takes."""

    @property
    def repeats_text(self) -> bool:
        """See `nodes.sampling.conditioning.denoiser.Denoiser`."""
        ...

    @property
    def packs(self) -> int:
        """How many of a latent's pixels the network reads as one."""
        ...

    @property
    def reads_raw(self) -> bool:
        """Whether pictures beside the latent, without a mask, stay in the VAE's space."""
        ...

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """A condition with all that the network reads as tensors in `extras`, [1, …] each.

        What nodes put there otherwise (a guidance, a size) is turned into such tensors.

        Args:
            cond: as nodes made it.
            size: height and width of the whole latent.
            branch: the branch of guidance that it belongs to.
        """
        ...

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """One forward pass: the network's prediction, shaped as the latent.

        Args:
            module: the network.
            x: [batch, channels, h, w], scaled, on the network's device and in its precision.
            timestep: [batch], as the parameterization gives it.
            cond: one row a sample.
        """
        ...


class ControlAdapter(Protocol):
    """Knows what one class of steering network takes, and which networks it steers."""

    def fits(self, config: Config, model: Mapping[str, object]) -> bool:
        """Whether it steers a network of that configuration."""
        ...

    def hint(self, config: Config, hint: Hint, call: ControlCall) -> Tensor:
        """The hint as the network reads it, [batch or 1, …], for a call's latent."""
        ...

    def ask(
        self, module: nn.Module, call: ControlCall, hint: Tensor, kind: int | None
    ) -> Residuals:
        """One forward pass.

        Args:
            module: the network.
            call: of the model, on the network's device and in its precision.
            hint: [batch or 1, …].
            kind: for a network that knows several kinds of hint, the number of this one.
        """
        ...


class TextNetwork(Protocol):
    """A text encoder, driven layer by layer.

    transformers' own forward passes take no embeddings, and run every layer.
    """

    @property
    def words(self) -> Tensor:
        """[vocabulary, width]: the embedding of each token."""
        ...

    @property
    def pools(self) -> bool:
        """Whether its state at the end token stands for the whole text."""
        ...

    @property
    def depth(self) -> int:
        """How many layers it has."""
        ...

    def states(self, embedded: Tensor) -> Iterator[Tensor]:
        """The output of each layer, first to last: [rows, length, width] each.

        Args:
            embedded: [rows, length, width]: the tokens looked up, no positions.
        """
        ...

    def norm(self, states: Tensor) -> Tensor:
        """The norm that follows the last layer."""
        ...

    def project(self, pooled: Tensor) -> Tensor:
        """The projection of a pooled state; as it is if the file has none."""
        ...


@dataclass(frozen=True, slots=True)
class TextClass:
    """All that is particular to one class of text encoder."""

    drive: Callable[[nn.Module], TextNetwork]
    width: str
    """The entry of its configuration that says how many numbers a token becomes."""


@dataclass(frozen=True, slots=True)
class NetworkClass:
    """All that is particular to one class of network."""

    kind: str
    """Its name, as `NetworkSpec.kind` and overrides in the metadata have it."""
    title: str
    """What people call it."""
    builder: Builder
    adapter: Adapter | None = None
    """How it is asked, if it denoises."""
    control: ControlAdapter | None = None
    """How it is asked, if it steers another."""
    text: TextClass | None = None
    """How it is driven, if it reads text."""
    half_dtype: torch.dtype = torch.float16
    """The precision that it bears on a GPU: float32 where half precision shows in pictures."""
    keeps_narrow: bool = False
    """Whether matrices that are narrow in the file (fp8, quantized) stay so in memory."""
    widened: str = ""
    """The weight, [width, channels], that may have more columns after a patch."""
    cross_attends: bool = False
    """Whether its blocks read the text in cross-attentions of diffusers' names."""
    reads_projected: bool = False
    """Whether it takes tokens of its own width before the text, as USO's projector makes them."""
    saved: bool = True
    """Whether it has a file format of its own."""
