"""Networks with their large matrices in few bits.

Only linear layers in the blocks that a network repeats are: norms, biases, embeddings, convolutions
and the layers before and after the blocks stay as they are, and so do matrices of odd sizes, all of
a network that computes with plain weights only (a VAE, CLIP), and what is in few bits already.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from nodes.models.export.tensors import group_by_tensor
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.weights.formats.layer_formats import NAMES, Written
from nodes.models.weights.formats.quantise import quantise, written_format
from nodes.models.weights.key_table import KeyTable
from nodes.models.weights.quantized import block_keys

_PLAIN = (torch.float32, torch.float16, torch.bfloat16)


def quantise_layers(
    spec: NetworkSpec, table: KeyTable, tensors: Mapping[str, Tensor], name: Written
) -> dict[str, Tensor]:
    """Return the tensors of a file with a network's layers in few bits, where they can be.

    Args:
        spec: of the network.
        table: the place of each of its weights in the file.
        tensors: of the file.
        name: of the format.
    """
    made = dict(tensors)
    if not network_class(spec.kind).keeps_quantized:
        return made
    layers = block_keys(skeleton(spec))
    for key, group in group_by_tensor(table).items():
        weight, base = tensors[key], key.removesuffix("weight")
        form = written_format(name, tuple(weight.shape))
        has_scale = any(base + name in tensors for name in NAMES)
        fits = form is not None and weight.dtype in _PLAIN and not has_scale
        if form is not None and fits and base != key and group.keys() <= layers:
            made |= {base + part: tensor for part, tensor in quantise(weight, form).items()}
    return made
