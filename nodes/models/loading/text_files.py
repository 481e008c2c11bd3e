"""Open text encoders that are in files of their own."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.runtime.model_pool import ModelPool
from nodes.models.families.diffusers_layout import read_model
from nodes.models.families.text_files import read_text_files
from nodes.models.loading.checkpoint import open_network
from nodes.models.loading.text_model import TextEncoder, TextModel


def open_text_files(
    files: Sequence[tuple[Path, str]],
    kind: str | None,
    models: ModelPool,
    *,
    on_cpu: bool = False,
) -> TextModel:
    """Open text encoders, in any order; reads their headers only.

    Args:
        files: the path of each, and its sha256.
        kind: the `type` of the loader nodes; see `nodes.models.families.text_files`.
        models: the pool to share networks through.
        on_cpu: compute on the CPU, even if there is a better device.

    Raises:
        NodeGraphError: a file is damaged, or not what the kind wants.
    """
    headers = [read_model(path) for path, _ in files]
    encoder_set, specs = read_text_files(headers, kind)
    found = {
        spec.network.name: TextEncoder(
            open_network(models, header, identity, spec.network, on_cpu=on_cpu), spec.rules
        )
        for header, (_, identity), spec in zip(headers, files, specs, strict=True)
    }
    ordered = tuple(found[name] for name in encoder_set.policies if name in found)
    return TextModel(headers[0].path, ordered, encoder_set)
