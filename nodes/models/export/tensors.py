"""Networks as files of the original layout have them: the key tables, run backwards."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.models.loading.network import Network, Patches
from nodes.models.weights.key_convert import export
from nodes.models.weights.key_table import KeyTable, Source
from nodes.models.weights.lazy import is_packed, scale_of, stored
from nodes.models.weights.quantized import precise
from nodes.models.weights.reader import TensorFiles

Table: TypeAlias = Callable[[Iterable[str], str], dict[str, Source]]
"""As `NetworkSpec.table`."""
_PARTS = ("model.", "first_stage_model.", "vae.", "cond_stage_model.", "conditioner.")
_MORE = ("text_encoders.", "model_ema.")
"""What stands before the keys of one network, so that they are not another's without a prefix."""


def exported(network: Network, patches: Patches, table: Table, prefix: str) -> dict[str, Tensor]:
    """A network's weights, patches included.

    What no patch touches is as the file has it, bit for bit, mapped and not read; the rest is
    rounded to the precision that it has in the file. Whatever else lies below the network's
    prefix comes along if the layout stays the same. Quantised weights are written in float16
    where they change, and so are all that safetensors files have no type for.

    Args:
        network: any.
        patches: on top of it.
        table: of the layout that is wanted; see `NetworkSpec`.
        prefix: what is to stand before every key.
    """
    spec, header = network.spec, network.header
    wanted = table(network.table, prefix)
    same = table is spec.table and spec.prefix not in header.own
    touched = {key for patch in patches for key in patch.touches} & wanted.keys()
    changed = network.changed(patches)
    tensors: dict[str, Tensor] = {}
    known = {source.key for source in network.table.values()}
    with TensorFiles() as files:
        for name, group in _grouped(wanted).items():
            original = network.table[next(iter(group))].key
            if same and not touched & group.keys() and not header.tensors[original].is_packed:
                tensors[name] = files.tensor(header.tensors[original])
            else:
                state = {key: _weight(network, files, key, changed) for key in group}
                tensors |= export(group, state)
                known.add(scale_of(header, original) or original)
        for key in _others(header.tensors, spec.prefix, known) if same else ():
            tensors[prefix + key.removeprefix(spec.prefix)] = files.tensor(header.tensors[key])
    return tensors


def _grouped(table: KeyTable) -> dict[str, dict[str, Source]]:
    """The weights of each tensor of the file."""
    groups: defaultdict[str, dict[str, Source]] = defaultdict(dict)
    for key, source in table.items():
        groups[source.key][key] = source
    return dict(groups)


def _weight(
    network: Network, files: TensorFiles, key: str, changed: Mapping[str, Tensor]
) -> Tensor:
    source = network.sources[key]
    weight = stored(network.header, files, source, torch.float16)
    if is_packed(network.header, source.key):
        weight = precise(weight, torch.float16)
    return changed[key].to(weight.device, weight.dtype) if key in changed else weight


def _others(keys: Iterable[str], prefix: str, known: set[str]) -> list[str]:
    """The keys below a prefix that the network has no use for."""
    below = [key for key in keys if key.startswith(prefix) and key not in known]
    return below if prefix else [key for key in below if not key.startswith((*_PARTS, *_MORE))]
