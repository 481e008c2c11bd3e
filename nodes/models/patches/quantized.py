"""Networks whose blocks' matrices torchao stores and multiplies in 8 or 4 bits."""

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from nodes.models.loading.network import Network
from nodes.models.loading.variants.patched_weights import PatchedWeights
from nodes.models.networks.factory import skeleton
from nodes.models.weights.errors import UnavailableHereError
from nodes.models.weights.quantized import block_keys

Scheme: TypeAlias = Literal[
    "int8_weight_only", "int8_dynamic", "fp8_weight_only", "int4_weight_only"
]
_WHAT = "Quantizing a model"
_CONFIGS: Mapping[Scheme, str] = {
    "int8_weight_only": "Int8WeightOnlyConfig",
    "int8_dynamic": "Int8DynamicActivationInt8WeightConfig",
    "fp8_weight_only": "Float8WeightOnlyConfig",
    "int4_weight_only": "Int4WeightOnlyConfig",
}


@dataclass(frozen=True, slots=True)
class QuantizedPatch:
    """Quantizes weights after the patches before it.

    A weight that a later patch touches is in full precision again.
    """

    scheme: Scheme
    touches: frozenset[str]

    @torch.no_grad()
    def apply(self, network: Network, weights: PatchedWeights) -> Iterator[dict[str, Tensor]]:
        """Yield the quantized weights; see `nodes.models.loading.network.Patch`.

        Raises:
            UnavailableHereError: torchao can't do that here.
        """
        del network
        for key in sorted(self.touches):
            yield {key: self._quantize(weights[key])}

    def _quantize(self, weight: Tensor) -> Tensor:
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
            raise UnavailableHereError(
                code="unavailable_scheme",
                what=self.scheme,
                reason=str(error),
                hint="int8_weight_only works everywhere.",
            ) from error
        return layer.weight.detach()


def quantized_patch(scheme: Scheme, network: Network) -> QuantizedPatch:
    """Return the patch for all linear layers in a network's blocks.

    Raises:
        UnavailableHereError: torchao is not installed.
    """
    if importlib.util.find_spec("torchao") is None:
        raise UnavailableHereError(
            code="missing_extra",
            what=_WHAT,
            reason="a package is not installed",
            hint="Run: pip install 'nodegraph[quant]'",
        )
    return QuantizedPatch(scheme, block_keys(skeleton(network.spec)))
