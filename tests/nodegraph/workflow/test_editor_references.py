"""Real workflows convert to what the real editor makes of them; see tests/data/README.md."""

import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.packs.editor_shapes import shapes_of
from nodegraph.packs.registry import Registry
from nodegraph.workflow.editor.shapes import shape_of
from nodegraph.workflow.read import read_any, to_prompt

DATA = Path(__file__).parents[2] / "data"
RENUMBERED = "group"
"""The case where the editor gives the nodes inside new ids."""


@cache
def load() -> Any:
    return json.loads(lzma.decompress((DATA / "editor.json.xz").read_bytes()))


@cache
def shapes(name):
    known = load()["object_info"] | described()
    return shape_of(name, known[name]) if name in known else None


@cache
def described():
    return json.loads((DATA / "object_info.json").read_text())


def compared(prompt):
    """A prompt as it is compared: without titles."""
    return {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()}


def differing(items, shapes=shapes):
    return [
        name
        for name, item in items.items()
        if compared(to_prompt(read_any(item["workflow"], shapes))) != compared(item["prompt"])
    ]


def test_templates_convert_as_in_the_editor():
    templates = load()["templates"]

    assert len(templates) == 168
    assert differing(templates) == []


def test_small_cases_convert_as_in_the_editor():
    assert differing(load()["cases"]) == [RENUMBERED]


def test_the_nodes_of_a_group_are_the_same_but_for_their_ids():
    case = load()["cases"][RENUMBERED]
    ours = compared(to_prompt(read_any(case["workflow"], shapes)))
    theirs = compared(case["prompt"])
    ids = dict(zip(_in_order(theirs), _in_order(ours), strict=True))

    def renamed(value):
        return [ids[value[0]], value[1]] if isinstance(value, list) else value

    assert ours == {
        ids[key]: (kind, {name: renamed(value) for name, value in inputs.items()})
        for key, (kind, inputs) in theirs.items()
    }


def _in_order(prompt):
    return sorted(prompt, key=lambda key: (prompt[key][0], key))


def test_the_built_in_pack_describes_its_nodes_as_the_editor_needs_them(tmp_path):
    registry = Registry.load(["nodes"])
    ours = shapes_of(registry.catalog, Files(Folders.under(tmp_path)))
    known = {
        name: item
        for name, item in load()["templates"].items()
        if all(_is_both(node["class_type"], registry) for node in item["prompt"].values())
    }

    assert len(known) > 20
    assert differing(known, ours) == []


def _is_both(name, registry):
    """Say if a type is here and in ComfyUI's own answer, with the same inputs.

    What was reconstructed lacks inputs, and later versions have more.
    """
    spec, theirs = registry.catalog.get(name), described().get(name)
    if spec is None or theirs is None:
        return False
    known = {key for group in theirs["input"].values() for key in group}
    return {item.name for item in spec.inputs} <= known
