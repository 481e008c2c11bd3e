"""The memory that calls of networks take beside their weights, by configuration and shapes."""

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Literal, cast

import torch
from torch import Tensor, nn

from nodes.models.families.base.spec import NetworkSpec
from nodes.models.networks.base.call_context import NetworkCall, during
from nodes.models.networks.components.vaes.vae import Vae
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.residency.activations import peak_bytes
from nodes.sampling.conditioning.cond import CondBatch

_log = logging.getLogger(__name__)
_KEPT = 512
"""Figures that are remembered; the one that was asked for the longest ago goes first."""
_figures: OrderedDict[Hashable, int | None] = OrderedDict()
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

    found = call_peak(spec, dtype, (method, shape), call)
    assert found is not None, "autoencoders read no numbers"
    return found


def denoiser_peak(
    spec: NetworkSpec, dtype: torch.dtype, shape: tuple[int, ...], cond: CondBatch
) -> int | None:
    """Return the peak bytes of one call of a denoiser, beside its weights; None if unknown.

    Args:
        spec: the denoiser's, with the widths that it has.
        dtype: what it computes in.
        shape: [batch, channels, height, width] of the latent as the network takes it.
        cond: one row a sample. What its controls add is not counted.
    """

    def call(network: nn.Module) -> object:
        adapter = network_class(spec.kind).adapter
        assert adapter, "denoisers have one"
        extras = {name: _on_meta(each) for name, each in cond.extras.items()}
        pooled = None if cond.pooled is None else _on_meta(cond.pooled)
        plain = CondBatch(_on_meta(cond.tokens), pooled, extras, chunks=cond.chunks)
        x, sigma = torch.empty(shape, dtype=dtype, device="meta"), torch.ones(shape[0])
        with during(NetworkCall(shape[-2], shape[-1], sigma, float)):
            return adapter.predict(network, x, sigma.to("meta"), plain)

    tensors = {"": cond.tokens, "pooled": cond.pooled, **cond.extras}
    forms = [(name, each.shape, each.dtype) for name, each in tensors.items() if each is not None]
    return call_peak(spec, dtype, (shape, *forms), call)


def _on_meta(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta")


def call_peak(
    spec: NetworkSpec, dtype: torch.dtype, inputs: Hashable, call: Callable[[nn.Module], object]
) -> int | None:
    """Return the peak bytes of one call of a network; found once for each kind of call.

    None if the call reads numbers, which there are none of on the meta device.

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
    try:
        found = peak_bytes(network, lambda: call(network))
    except RuntimeError:
        _log.info("the memory of a call of %s is not known", spec.kind, exc_info=True)
        found = None
    with _lock:
        _figures[key] = found
        while len(_figures) > _KEPT:
            _figures.popitem(last=False)
    return found
