"""A node that quantizes models."""

from nodegraph.definition.node import node
from nodes.models.loading.handles import ModelHandle
from nodes.models.patches.quantized import Scheme, quantised_patch


@node("QuantizeModel", category="advanced/model")
def quantize_model(model: ModelHandle, scheme: Scheme = "int8_weight_only") -> ModelHandle:
    """Quantize the matrices of a model's blocks to 8 or 4 bits, with torchao (extra `quant`).

    `weight_only` unpacks them when they are used, `dynamic` multiplies in 8 bits. LoRAs applied
    before are quantized with the model; matrices that later ones change are in full precision
    again. Four bits need a GPU that torchao's kernels support.
    """
    return model.patched(quantised_patch(scheme, model.model.network))
