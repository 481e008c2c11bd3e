"""Nodes for step caching, precision and compilation of a model."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph.definition.markers import Choices, Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Ratio
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.factory import network_class
from nodes.models.networks.modifiers.compiled import TorchCompile
from nodes.sampling.guidance.settings import StepCacheSettings

Threshold = Annotated[float, Field(ge=0.0, le=3.0), Step(0.01)]

_DEBUG = "advanced/debug/model"
_DTYPES = {
    "default": None,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


@node("EasyCache", category=_DEBUG, experimental=True)
def easy_cache(
    model: ModelHandle,
    reuse_threshold: Threshold = 0.2,
    start_percent: Ratio = 0.15,
    end_percent: Ratio = 0.95,
    verbose: bool = False,
) -> ModelHandle:
    """Skip the model in steps where its prediction would hardly change.

    The higher `reuse_threshold` (the relative error that may add up), the faster and the less
    exact. It applies from `start_percent` to `end_percent` of the denoising; `verbose` logs the
    skipped steps.
    """
    return _add_step_cache(
        model, StepCacheSettings(reuse_threshold, start_percent, end_percent, verbose)
    )


@node("LazyCache", category=_DEBUG, experimental=True)
def lazy_cache(
    model: ModelHandle,
    reuse_threshold: Threshold = 0.2,
    start_percent: Ratio = 0.15,
    end_percent: Ratio = 0.95,
    verbose: bool = False,
) -> ModelHandle:
    """Skip whole steps, guidance included, where the result would hardly change; see EasyCache.

    Simpler than EasyCache, and works where the number of prompts changes on the way; mostly less
    exact.
    """
    step_cache = StepCacheSettings(
        reuse_threshold, start_percent, end_percent, verbose, guided=True
    )
    return _add_step_cache(model, step_cache)


@node("ModelComputeDtype", category=_DEBUG)
def model_compute_dtype(
    model: ModelHandle,
    dtype: Annotated[str, Choices(tuple(_DTYPES))],
) -> ModelHandle:
    """Choose the precision that a model computes in; `default` suits the model and the device."""
    return replace(model, compute=_DTYPES[dtype])


@node("TorchCompileModel", category="_for_testing", experimental=True)
def torch_compile_model(
    model: ModelHandle, backend: Literal["inductor", "cudagraphs"]
) -> ModelHandle:
    """Compile the network at its first use, which takes a while, so that every step is faster.

    `inductor` compiles each kind of the network's blocks once, and once more for other image
    sizes; on a CPU it needs a C++ compiler. `cudagraphs` records the network as a whole, again
    for each size; it needs an NVIDIA GPU, and all weights there. If compiling fails, sampling
    goes on without it, with a notice.
    """
    kind = network_class(model.model.network.spec.kind)
    blocks = kind.repeated_blocks if backend == "inductor" else ()
    return model.with_alteration(TorchCompile(backend, blocks))


def _add_step_cache(model: ModelHandle, step_cache: StepCacheSettings) -> ModelHandle:
    return replace(model, guidance=replace(model.guidance, step_cache=step_cache))
