"""The shapes of node types in the editor: our own, and those of another server."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from nodegraph.files.files import Files
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.object_info import object_info
from nodegraph.workflow.editor.shapes import Shape, Shapes, shape_of


@cache
def _descriptions(name: str) -> Mapping[str, Mapping[str, object]]:
    """Return descriptions of ComfyUI's nodes that nodegraph has not, to read their workflows.

    `partner_nodes` are those for paid services, from `/object_info`. `newer_nodes` are others, from
    there and from what the templates that ComfyUI offers have of them; both list inputs alone.
    """
    path = Path(__file__).parent.parent / "workflow" / "editor" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def shapes_of(
    catalog: Mapping[str, NodeSpec],
    files: Files,
    others: Mapping[str, Mapping[str, object]] | None = None,
) -> Shapes:
    """Make the look-up of node types that reading the editor format needs.

    Args:
        catalog: our node types.
        files: the folders with the files to choose from.
        others: another server's `/object_info`, which is looked at first.
    """

    def shape(name: str) -> Shape | None:
        entry = others.get(name) if others else None
        if entry is None and name in catalog:
            entry = object_info(catalog[name], files)
        if entry is None:
            entry = _descriptions("partner_nodes").get(name)
        if entry is not None:
            return shape_of(name, entry)
        entry = _descriptions("newer_nodes").get(name)
        return None if entry is None else replace(shape_of(name, entry), is_assumed=True)

    return shape
