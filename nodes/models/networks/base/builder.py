"""The record that each network file ends with, and the protocols of its adapters."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from nodes.models.families.base.spec import Config
from nodes.models.networks.base.control_hint import ControlHint
from nodes.models.networks.base.pictures import PictureClass, TextPictures
from nodes.models.residency.units import EVERY_PART, Parts
from nodes.sampling.conditioning.cond import Cond, CondBatch, ControlCall, Residuals
from nodes.sampling.conditioning.denoiser import Branch

Build: TypeAlias = Callable[[dict[str, Any]], nn.Module]
"""A function from a configuration to the network."""
Builder: TypeAlias = Callable[[], Build]
"""A function that imports the network's class, and returns the function that builds it."""


class Adapter(Protocol):
    """Calls one class of denoising network with the inputs that it takes."""

    @property
    def repeats_text(self) -> bool:
        """See `nodes.sampling.conditioning.denoiser.Denoiser`."""
        ...

    @property
    def patch_pixels(self) -> int:
        """The number of latent pixels that the network reads as one patch of channels."""
        ...

    @property
    def concat_raw(self) -> bool:
        """True if a concatenated picture without a mask stays in the VAE's space."""
        ...

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with all inputs of the network as tensors in `extras`, [1, …] each.

        The numbers that nodes put there (a guidance, a size) become such tensors.

        Args:
            cond: as nodes made it.
            size: height and width of the whole latent.
            branch: the branch of guidance that it belongs to.
        """
        ...

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the network, and return its prediction, shaped as the latent.

        Args:
            module: the network.
            x: [batch, channels, h, w], scaled, on the network's device and in its precision.
            timestep: [batch], the parameterization's.
            cond: one row a sample.
        """
        ...


class ControlAdapter(Protocol):
    """Calls one class of ControlNet with the inputs that it takes."""

    @property
    def reads_latent(self) -> bool:
        """True if its residuals depend on the latent, or on its level; False: on the hint alone."""
        ...

    def fits(self, config: Config, model: Mapping[str, object]) -> bool:
        """Return True if it can steer a network of that configuration."""
        ...

    def hint(self, config: Config, hint: ControlHint, call: ControlCall) -> Tensor:
        """Return the hint as the network reads it, [batch or 1, …], for a call's latent."""
        ...

    def residuals(
        self, module: nn.Module, call: ControlCall, hint: Tensor, kind: int | None
    ) -> Residuals:
        """Run the network, and return the residuals for the model.

        Args:
            module: the network.
            call: of the model, on the network's device and in its precision.
            hint: [batch or 1, …].
            kind: for a network that knows several kinds of hint, the number of this one.
        """
        ...


class TextNetwork(Protocol):
    """A text encoder that is run layer by layer.

    The forward passes of transformers can't read textual inversions, and run every layer.
    """

    @property
    def token_embedding(self) -> Tensor:
        """[vocabulary, width]: the embedding of each token; may be on the host."""
        ...

    @property
    def pools(self) -> bool:
        """True if its state at the end token stands for the whole text."""
        ...

    @property
    def depth(self) -> int:
        """The number of its layers."""
        ...

    def states(
        self,
        embedded: Tensor,
        attended: Tensor | None = None,
        positions: Tensor | None = None,
        pictures: TextPictures | None = None,
    ) -> Iterator[Tensor]:
        """Yield the output of each layer, first to last: [rows, length, width] each.

        Args:
            embedded: [rows, length, width]: the tokens' embeddings, without positions.
            attended: [rows, length]: False for tokens that no token attends to; None if there are
                none. CLIP attends to all.
            positions: [rows, length]: the tokens' positions; None if they are counted from 0, as
                CLIP and T5 always do. Beside pictures [3, rows, length]: time, row and column.
            pictures: those in the rows, of which CLIP and T5 see none; None if there are none.
        """
        ...

    def norm(self, states: Tensor) -> Tensor:
        """Apply the norm that follows the last layer."""
        ...

    def project(self, pooled: Tensor) -> Tensor:
        """Project a pooled state; unchanged if the file has no projection."""
        ...


@dataclass(frozen=True, slots=True)
class TextClass:
    """All that is particular to one class of text encoder."""

    drive: Callable[[nn.Module], TextNetwork]
    width: str
    """The entry of its configuration for the width of a token's embedding."""


@dataclass(frozen=True, slots=True)
class NetworkClass:
    """All that is particular to one class of network."""

    kind: str
    """Its name in `NetworkSpec.kind` and in the metadata's overrides."""
    title: str
    """Its name for people."""
    builder: Builder
    adapter: Adapter | None = None
    """Calls it, if it denoises."""
    embed: Callable[[nn.Module, Tensor, CondBatch, Tensor], Tensor] | None = None
    """Embeds what the modulation of its blocks is made of, if that can be made ahead; see `Embed`
    in `nodes.models.networks.denoisers.modulation`."""
    flow_map: str = ""
    """The entry of its configuration that is true for a flow map, which is told the time that a
    step jumps to; see `nodes.models.networks.base.jumps`."""
    control: ControlAdapter | None = None
    """Calls it, if it is a ControlNet."""
    text: TextClass | None = None
    """Runs it, if it is a text encoder."""
    pictures: PictureClass | None = None
    """Runs it, if it is the vision encoder of one."""
    half_dtype: torch.dtype = torch.float16
    """Its precision on a GPU: float32 if half precision would show in images."""
    without_bfloat16: torch.dtype = torch.float16
    """Its precision where that is bfloat16, which the GPU lacks."""
    convolves: bool = False
    """True if most of its work is convolutions, whose layout in memory then matters."""
    keeps_quantized: bool = False
    """True if matrices that the file has in fp8 or quantized are stored so in memory."""
    widened: str = ""
    """The weight, [width, channels], that may have more columns after a patch."""
    cross_attends: bool = False
    """True if its blocks read the text in cross-attentions with diffusers' names."""
    reads_projected: bool = False
    """True if it reads tokens of its own width before the text, as USO's projector makes them."""
    saved: bool = True
    """True if it can be saved: it has a file format of its own."""
    repeated_blocks: tuple[str, ...] = ()
    """The names of the classes of modules that it repeats, which are compiled once each."""
    parts: Parts = EVERY_PART
    """The modules that matter when it is larger than its share of the device."""
