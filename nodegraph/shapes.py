"""What node types look like in the editor: those that there are here, and another server's."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from nodegraph.files import Files
from nodegraph.object_info import object_info
from nodegraph.spec import NodeSpec
from nodegraph.workflow.editor.shapes import Shape, Shapes, shape_of


@cache
def _partner_nodes() -> Mapping[str, Mapping[str, object]]:
    """What ComfyUI's nodes for paid services take: they run nowhere else, but can be read."""
    path = Path(__file__).parent / "workflow" / "editor" / "partner_nodes.json"
    return json.loads(path.read_text(encoding="utf-8"))


def shapes_of(
    catalog: Mapping[str, NodeSpec],
    files: Files,
    others: Mapping[str, Mapping[str, object]] | None = None,
) -> Shapes:
    """Look-up of node types, for reading workflows in the editor format.

    Args:
        catalog: the node types there are here.
        files: where their choices of files lie.
        others: what another server's `/object_info` says; it goes before our own.
    """

    def shape(name: str) -> Shape | None:
        entry = others.get(name) if others else None
        if entry is None and name in catalog:
            entry = object_info(catalog[name], files)
        if entry is None:
            entry = _partner_nodes().get(name)
        return None if entry is None else shape_of(name, entry)

    return shape
