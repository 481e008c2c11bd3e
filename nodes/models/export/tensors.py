"""Networks as files of the original layout have them: the key tables, run backwards."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.models.loading.network import Network, Patches
from nodes.models.weights.formats.gguf import BLOCKS
from nodes.models.weights.formats.layer_formats import MARKER, SCALED
from nodes.models.weights.formats.quantise import marker
from nodes.models.weights.key_convert import export
from nodes.models.weights.key_table import KeyTable, Source
from nodes.models.weights.lazy import read_weight
from nodes.models.weights.quantized import full_precision
from nodes.models.weights.reader import TensorFiles
from nodes.models.weights.tensor_info import TensorInfo

Table: TypeAlias = Callable[[Iterable[str], str], dict[str, Source]]
"""A function from a network's keys and a prefix to a key table, as `NetworkSpec.table`."""
_PARTS = ("model.", "first_stage_model.", "vae.", "cond_stage_model.", "conditioner.")
_MORE = ("text_encoders.", "model_ema.")
"""The prefixes of other networks' keys, which are not those of a network without a prefix."""


def export_tensors(
    network: Network, patches: Patches, table: Table, prefix: str
) -> dict[str, Tensor]:
    """Return a network's weights under the keys of a layout, patches included.

    Tensors that no patch touches are those of the file, bit for bit, mapped and not read; the
    others are rounded to the precision that they have in the file. Any other tensors below the
    network's prefix are kept if the layout stays the same. Quantized weights become float16 where
    they change, and so do those of types that safetensors does not have.

    Args:
        network: the network.
        patches: the changes to its weights.
        table: of the layout that is wanted; see `NetworkSpec`.
        prefix: the prefix of every key that is written.
    """
    spec, header = network.spec, network.header
    wanted = table(network.table, prefix)
    same = table is spec.table and spec.prefix not in header.own
    touched = {key for patch in patches for key in patch.touches} & wanted.keys()
    changed = network.changed_weights(patches)
    tensors: dict[str, Tensor] = {}
    known = {source.key for source in network.table.values()}
    with TensorFiles() as files:
        for name, group in group_by_tensor(wanted).items():
            original = network.table[next(iter(group))].key
            stays = same and not touched & group.keys()
            if stays and header.tensors[original].dtype not in BLOCKS:
                tensors |= _layer_tensors(files, name, header.tensors[original])
            else:
                state = {key: _weight(network, files, key, changed) for key in group}
                tensors |= export(group, state)
        for key in _others(header.tensors, spec.prefix, known) if same else ():
            tensors[prefix + key.removeprefix(spec.prefix)] = files.tensor(header.tensors[key])
    return tensors


def group_by_tensor(table: KeyTable) -> dict[str, dict[str, Source]]:
    """Return the weights of each tensor of the file, by its key."""
    groups: defaultdict[str, dict[str, Source]] = defaultdict(dict)
    for key, source in table.items():
        groups[source.key][key] = source
    return dict(groups)


def _layer_tensors(files: TensorFiles, name: str, info: TensorInfo) -> dict[str, Tensor]:
    """Return a tensor of the file and those of its layer, with a marker that says its format."""
    found = {name: files.tensor(info.as_stored)}
    layer = info.layer
    if layer is None:
        return found
    base = name.removesuffix("weight")
    found |= {base + each: files.tensor(part) for each, part in layer.beside.items()}
    if layer.format.name != SCALED and not {MARKER, "scale_weight"} & layer.beside.keys():
        found[base + MARKER] = marker(layer.format)
    return found


def _weight(
    network: Network, files: TensorFiles, key: str, changed: Mapping[str, Tensor]
) -> Tensor:
    source = network.file.sources[key]
    weight = read_weight(network.header, files, source, torch.float16)
    if network.header.tensors[source.key].is_quantized:
        weight = full_precision(weight, torch.float16)
    return changed[key].to(weight.device, weight.dtype) if key in changed else weight


def _others(keys: Iterable[str], prefix: str, known: set[str]) -> list[str]:
    """Return the keys below a prefix that belong to no weight of the network."""
    below = [key for key in keys if key.startswith(prefix) and key not in known]
    return below if prefix else [key for key in below if not key.startswith((*_PARTS, *_MORE))]
