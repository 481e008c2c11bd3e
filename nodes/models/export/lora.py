"""A LoRA out of the differences of weights: products of small matrices that come closest to them.

The closest matrix of some rank, by the sum of squares, is the singular value decomposition without
its smallest values (Eckart and Young, 1936). Both factors get the roots of the values that stay.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor

from nodes.models.families.base.encoder_keys import lora_paths
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.weights.key_convert import export
from nodes.models.weights.key_table import Source

LoraType: TypeAlias = Literal["standard", "full_diff"]
Differences: TypeAlias = Mapping[str, Tensor]
"""Weights' differences by the names that LoRAs have for them, with `.weight` and `.bias`."""
_MODEL = "diffusion_model."
_BIAS = ".bias"


def model_differences(model: ModelHandle) -> Differences:
    """Return the weights that patches change, as they are then, in the file's layout."""
    network = model.model.network
    changed = network.changed_weights(model.patches)
    groups: defaultdict[str, dict[str, Source]] = defaultdict(dict)
    for key, source in network.table.items():
        groups[source.key][key] = source
    found: dict[str, Tensor] = {}
    for group in groups.values():
        if group.keys() & changed.keys():
            absent = {key: torch.zeros(network.file.shapes[key]) for key in group}
            found |= export(group, {key: changed.get(key, absent[key]).cpu() for key in group})
    prefix = network.spec.prefix
    return {f"{_MODEL}{key.removeprefix(prefix)}": weight for key, weight in found.items()}


def text_differences(clip: ClipHandle) -> Differences:
    """Return the text encoders' weights that patches change, as they are then."""
    found: dict[str, Tensor] = {}
    for encoder in clip.text.found:
        changed = encoder.network.changed_weights(clip.by_encoder.get(encoder.name, ()))
        for key, weight in changed.items():
            layer, _, kind = key.rpartition(".")
            path = lora_paths(encoder.network.spec.kind, layer)[0]
            found[f"text_encoders.{encoder.name}.transformer.{path}.{kind}"] = weight
    return found


def lora_tensors(
    differences: Differences, kind: LoraType, rank: int, *, with_biases: bool
) -> Iterator[dict[str, Tensor]]:
    """Yield a LoRA's tensors, in float16 on the CPU, a weight at a time; none for one without any.

    Args:
        differences: what is added to each weight; those that are zero are left out.
        kind: `standard` makes two matrices of at most `rank`; `full_diff` keeps the whole.
        rank: see there.
        with_biases: keep the differences of biases and of norms, whole.
    """
    for name, difference in differences.items():
        is_weight = difference.ndim > 1
        if not (is_weight or with_biases) or not difference.any():
            yield {}
        elif is_weight and kind == "standard":
            down, up = factors(difference, rank)
            stem = name.removesuffix(".weight")
            yield _halves({f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up})
        elif name.endswith(_BIAS):
            yield _halves({f"{name.removesuffix(_BIAS)}.diff_b": difference})
        else:
            yield _halves({f"{name.removesuffix('.weight')}.diff": difference})


def factors(difference: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return the two factors, first the one that inputs meet first.

    Args:
        difference: [outputs, inputs, …], more for a convolution.
        rank: the most values that are kept.

    Returns:
        [rank, inputs, …] and [outputs, rank], with ones after that for a convolution; float32.
        Their rank is smaller if the difference has fewer rows or columns.
    """
    rows, values, columns = _svd(difference.float().flatten(1))
    kept = min(rank, len(values))
    roots = values[:kept].sqrt()
    down = (roots[:, None] * columns[:kept]).reshape(kept, *difference.shape[1:])
    up = rows[:, :kept] * roots
    return down, up.reshape(*up.shape, *[1] * (difference.ndim - 2))


def _svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the singular value decomposition: rows, values from the largest, columns."""
    decompose = cast("Callable[..., tuple[Tensor, Tensor, Tensor]]", torch.linalg.svd)
    return decompose(matrix, full_matrices=False)


def _halves(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.to("cpu", torch.float16) for key, tensor in tensors.items()}
