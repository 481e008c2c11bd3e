"""Models in fewer bits."""

from nodegraph.define import node
from nodes.weights.handle import ModelHandle
from nodes.weights.quantised import Scheme, quantised_patch


@node("QuantizeModel", category="advanced/model")
def quantize_model(model: ModelHandle, scheme: Scheme = "int8_weight_only") -> ModelHandle:
    """Keep the matrices of a model's blocks in 8 or 4 bits, with torchao (the extra `quant`).

    `weight_only` unpacks them when they are used, `dynamic` multiplies in 8 bits. LoRAs that come
    before are quantised with the model; what later ones change is in full precision again.
    Four bits need a GPU and torchao's kernels for it.
    """
    return model.patched(quantised_patch(scheme, model.model.network))
