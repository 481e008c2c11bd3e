"""The memory that calls of networks take beside their weights, by configuration and shapes."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Literal, cast

import torch
from torch import nn

from nodes.models.families.base.spec import NetworkSpec
from nodes.models.networks.components.vae import Vae
from nodes.models.networks.factory import skeleton
from nodes.models.residency.activations import peak_bytes

_KEPT = 512
"""Figures that are remembered; the one that was asked for the longest ago goes first."""
_figures: OrderedDict[Hashable, int] = OrderedDict()
_lock = threading.Lock()


def vae_peak(
    spec: NetworkSpec,
    dtype: torch.dtype,
    method: Literal["encode", "decode"],
    shape: tuple[int, ...],
) -> int:
    """Return the peak bytes of one call of an autoencoder, beside its weights and its input.

    Args:
        spec: the autoencoder's.
        dtype: what it computes in.
        method: pictures to latents, or back.
        shape: [batch, channels, height, width] of what is encoded or decoded.
    """

    def call(network: nn.Module) -> object:
        x, vae = torch.empty(shape, dtype=dtype, device="meta"), cast("Vae", network)
        if method == "encode":
            return vae.encode(x, return_dict=False)
        return vae.decode(x, return_dict=False)

    return call_peak(spec, dtype, (method, shape), call)


def call_peak(
    spec: NetworkSpec, dtype: torch.dtype, inputs: Hashable, call: Callable[[nn.Module], object]
) -> int:
    """Return the peak bytes of one call of a network; found once for each kind of call.

    Args:
        spec: the network's, with the widths that it has.
        dtype: what it computes in.
        inputs: equal for calls of equal shapes.
        call: calls the network, which is on the meta device, with inputs there; asked only if
            the figure is not known.
    """
    config = json.dumps(spec.config, sort_keys=True, default=str)
    key = spec.kind, config, dtype, inputs
    with _lock:
        if key in _figures:
            _figures.move_to_end(key)
            return _figures[key]
    network = skeleton(spec)
    for weight in (*network.parameters(), *network.buffers()):
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)
    found = peak_bytes(network, lambda: call(network))
    with _lock:
        _figures[key] = found
        while len(_figures) > _KEPT:
            _figures.popitem(last=False)
    return found
