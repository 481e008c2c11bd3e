"""One way to ask any network that steers another."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn

from nodes.families.family import Config, NetworkKind
from nodes.hints import Hint
from nodes.networks.controlnet import UNetControl
from nodes.networks.flux_controlnet import FluxControl
from nodes.networks.sd3_controlnet import SD3Control
from nodes.networks.t2i_adapter import PictureAdapter
from nodes.values import ControlCall, Residuals


class ControlAdapter(Protocol):
    """Knows what one kind of steering network takes, and which networks it steers."""

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


CONTROLS: Mapping[NetworkKind, ControlAdapter] = {
    "controlnet": UNetControl(),
    "t2i_adapter": PictureAdapter(),
    "sd3_controlnet": SD3Control(),
    "flux_controlnet": FluxControl(),
}
