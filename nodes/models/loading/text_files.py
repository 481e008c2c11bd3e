"""Open text encoders that are in files of their own."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from nodegraph.runtime.model_pool import ModelPool
from nodes.models.families.diffusers_layout import read_model
from nodes.models.families.text_files import likeliest_name, read_text_files
from nodes.models.loading.checkpoint import open_network
from nodes.models.loading.text_model import TextModel, open_encoder
from nodes.models.weights.header import Header

Notice: TypeAlias = Callable[[str], None]
_log = logging.getLogger(__name__)


def open_text_files(
    files: Sequence[tuple[Path, str]],
    kind: str | None,
    models: ModelPool,
    *,
    on_cpu: bool = False,
    notice: Notice = _log.warning,
) -> TextModel:
    """Open text encoders, in any order; reads their headers only.

    Args:
        files: the path of each, and its sha256.
        kind: the `type` of the loader nodes; see `nodes.models.families.text_files`.
        models: the pool to share networks through.
        on_cpu: compute on the CPU, even if there is a better device.
        notice: called with what was taken for granted.

    Raises:
        NodeGraphError: a file is damaged, or not what the kind wants.
    """
    headers = [read_model(path) for path, _ in files]
    encoder_set, specs = read_text_files(headers, kind)
    for header, spec in zip(headers, specs, strict=True):
        _tell_guess(header, spec.network.name, notice)
    found = {
        spec.network.name: open_encoder(
            spec, partial(open_network, models, header, identity, on_cpu=on_cpu)
        )
        for header, (_, identity), spec in zip(headers, files, specs, strict=True)
    }
    ordered = tuple(found[name] for name in encoder_set.policies if name in found)
    return TextModel(headers[0].path, ordered, encoder_set)


def _tell_guess(header: Header, name: str, notice: Notice) -> None:
    """Say so if the loader's type alone, and nothing in the file, tells which encoder it is."""
    likeliest = likeliest_name(header)
    if name != likeliest:
        notice(
            f"{header.path.name} is read as {name}, as the type asks for it, though nothing in it"
            f" tells {name} from {likeliest}. If it is {likeliest}, images will be poor."
        )
