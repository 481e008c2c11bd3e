"""A network whose blocks' matrices are kept and multiplied in 8 or 4 bits, by torchao."""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from nodes.models.loading.network import Network
from nodes.models.networks.factory import skeleton
from nodes.models.patches.errors import UnavailableSchemeError
from nodes.models.weights.errors import MissingExtraError

Scheme: TypeAlias = Literal[
    "int8_weight_only", "int8_dynamic", "fp8_weight_only", "int4_weight_only"
]
_WHAT = "Quantising a model"
_CONFIGS: Mapping[Scheme, str] = {
    "int8_weight_only": "Int8WeightOnlyConfig",
    "int8_dynamic": "Int8DynamicActivationInt8WeightConfig",
    "fp8_weight_only": "Float8WeightOnlyConfig",
    "int4_weight_only": "Int4WeightOnlyConfig",
}
_IN_BLOCK = re.compile(r"\.\d+\.")
"""What comes before and after the blocks is small, and matters much: it stays as it is."""


@dataclass(frozen=True, slots=True)
class QuantisedPatch:
    """Quantises the weights as they are then: patches before it are in them, later ones add on top.

    What a later patch touches is in full precision again.
    """

    scheme: Scheme
    touches: frozenset[str]

    @torch.no_grad()
    def apply(self, network: Network, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The quantised weights; see `nodes.models.loading.network.Patch`.

        Raises:
            UnavailableSchemeError: torchao can't do that here.
        """
        del network
        return {key: self._quantised(weights[key]) for key in sorted(self.touches)}

    def _quantised(self, weight: Tensor) -> Tensor:
        from torchao import (  # pyright: ignore[reportMissingImports]
            quantization,  # pyright: ignore[reportUnknownVariableType]
        )

        torchao = cast("Any", quantization)
        rows, columns = weight.shape
        layer = nn.Linear(columns, rows, bias=False, device="meta")
        layer.weight = nn.Parameter(weight, requires_grad=False)
        try:
            torchao.quantize_(layer, getattr(torchao, _CONFIGS[self.scheme])())
        except (ImportError, RuntimeError, ValueError, AssertionError) as error:
            raise UnavailableSchemeError(self.scheme, str(error)) from error
        return layer.weight.detach()


def quantised_patch(scheme: Scheme, network: Network) -> QuantisedPatch:
    """The patch for all linear layers in a network's blocks.

    Raises:
        MissingExtraError: torchao is not installed.
    """
    if importlib.util.find_spec("torchao") is None:
        raise MissingExtraError(_WHAT, "quant")
    layers = cast("Any", skeleton(network.spec)).named_modules()
    keys = (f"{name}.weight" for name, layer in layers if isinstance(layer, nn.Linear))
    return QuantisedPatch(scheme, frozenset(key for key in keys if _IN_BLOCK.search(key)))
