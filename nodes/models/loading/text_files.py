"""Open text encoders that are in files of their own."""

from collections.abc import Sequence
from pathlib import Path

from nodes.models.families.diffusers_layout import read_model
from nodes.models.families.text_files import read_text_files
from nodes.models.loading.checkpoint import Networks, networks
from nodes.models.loading.text_model import TextEncoder, TextModel


def open_text_files(
    files: Sequence[tuple[Path, str]],
    kind: str | None,
    pool: Networks | None = None,
    *,
    on_cpu: bool = False,
) -> TextModel:
    """Open text encoders; reads their headers only. Their order does not matter.

    Args:
        files: where each lies, and its sha256.
        kind: as the loaders call it; see `nodes.models.families.text_files`.
        pool: whose networks to share; this process's if None.
        on_cpu: compute there, even if there is a better device.

    Raises:
        NodeGraphError: a file is damaged, or not what the kind wants.
    """
    headers = [read_model(path) for path, _ in files]
    style, specs = read_text_files(headers, kind)
    shared = networks() if pool is None else pool
    found = {
        spec.network.name: TextEncoder(
            shared.network(header, identity, spec.network, on_cpu=on_cpu), spec.rules
        )
        for header, (_, identity), spec in zip(headers, files, specs, strict=True)
    }
    ordered = tuple(found[name] for name in style.readings if name in found)
    return TextModel(headers[0].path, ordered, style)
