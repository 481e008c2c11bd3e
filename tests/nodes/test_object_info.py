"""Node types as editors and clients see them, against ComfyUI's own description."""

import json
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from nodegraph.define import node
from nodegraph.files import Files
from nodegraph.folders import Folders
from nodegraph.markers import Choices, InputFile, Lazy, ModelFile, Step
from nodegraph.object_info import object_info
from nodegraph.registry import Registry

DATA = Path(__file__).parent.parent / "data" / "object_info.json"
OWN = {"BatchPrompt", "GuidanceSchedule"}
"""Node types that ComfyUI does not have."""
PARTIAL = {"sampler_name", "scheduler", "model_type", "version"}
"""Choices of which we may offer a part, in ComfyUI's order."""


def files(root):
    return Files(Folders.under(root))


def comparable(info: dict[str, Any]) -> dict[str, Any]:
    """What must be equal, in one spelling: options are always there, choices are a list."""
    kinds = {
        group: {
            name: value if group == "hidden" else _input(value) for name, value in items.items()
        }
        for group, items in info["input"].items()
    }
    return {
        "input": kinds,
        "input_order": info["input_order"],
        "outputs": [info["output"], info["output_name"], info["output_is_list"]],
        "title": info["display_name"] or info["name"],
        "category": info["category"],
        "flags": [bool(info.get(flag)) for flag in ("output_node", "deprecated", "experimental")],
    }


def _input(value: list[Any]) -> list[Any]:
    options = dict(value[1]) if len(value) > 1 else {}
    options.pop("tooltip", None)
    options.pop("multiselect", None)
    kind = options.pop("options", []) if value[0] == "COMBO" else value[0]
    return [kind, options]


def differences(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    for group, items in theirs["input"].items():
        for key, (kind, _) in items.items() if group != "hidden" else ():
            own = ours["input"].get(group, {}).get(key)
            if own and own[0] != kind and _close_enough(key, own[0], kind):
                own[0] = kind
    return [
        f"{name}.{part}: {ours[part]} is not {theirs[part]}"
        for part in theirs
        if ours[part] != theirs[part]
    ]


def _close_enough(key: str, ours: object, theirs: object) -> bool:
    """Whether two lists of choices may differ: files that lie there, or a part of a table."""
    if not isinstance(ours, list) or not isinstance(theirs, list):
        return False
    if key in PARTIAL:
        rest = iter(theirs)
        return bool(ours) and all(choice in rest for choice in ours)
    return not theirs


def test_every_node_type_looks_as_in_comfyui(tmp_path):
    known = json.loads(DATA.read_text())
    catalog = Registry.load(["nodes"]).catalog

    unknown = set(catalog) - set(known) - OWN
    different = [
        line
        for name, spec in catalog.items()
        if name in known
        for line in differences(
            name, comparable(object_info(spec, files(tmp_path))), comparable(known[name])
        )
    ]

    assert not unknown, "copy their entries into tests/data/object_info.json, or list them in OWN"
    assert not different, "\n".join(different)


def test_every_node_type_says_what_it_does(tmp_path):
    for spec in Registry.load(["nodes"]).catalog.values():
        described = object_info(spec, files(tmp_path))["description"]

        assert isinstance(described, str)
        assert described.endswith("."), spec.name
        assert len(described) > 10, spec.name


class Parts(NamedTuple):
    model: int
    weight: float


@node("Toy", category="toys", display_name="A toy", hidden=("prompt",), output_node=True)
def toy(
    name: Annotated[str, ModelFile("loras")],
    picture: Annotated[str, InputFile("image_upload", (".png",))],
    mode: Annotated[str, Choices(("a", "b"))] = "b",
    amount: Annotated[int, Field(ge=1, le=4), Step(2)] = 1,
    later: Annotated[float, Lazy()] | None = None,
) -> Parts:
    """Nothing of use."""
    return Parts(len(name + picture + mode), amount + (later or 0))


def test_an_entry_lists_the_files_there_are_now(tmp_path):
    for path in ("models/loras/style.safetensors", "input/cat.png", "input/notes.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    info = object_info(toy.spec, files(tmp_path))

    assert info["input"] == {
        "required": {
            "name": [["style.safetensors"], {}],
            "picture": [["cat.png"], {"image_upload": True}],
            "mode": [["a", "b"], {"default": "b"}],
            "amount": ["INT", {"default": 1, "min": 1, "max": 4, "step": 2}],
        },
        "optional": {"later": ["FLOAT", {"lazy": True}]},
        "hidden": {"prompt": "PROMPT"},
    }
    assert info["input_order"] == {
        "required": ["name", "picture", "mode", "amount"],
        "optional": ["later"],
        "hidden": ["prompt"],
    }


def test_an_entry_names_the_node_its_outputs_and_its_help(tmp_path):
    info = object_info(toy.spec, files(tmp_path))

    assert [info["output"], info["output_name"]] == [["INT", "FLOAT"], ["model", "weight"]]
    assert (info["name"], info["display_name"], info["category"]) == ("Toy", "A toy", "toys")
    assert (info["description"], info["output_node"]) == ("Nothing of use.", True)
    json.dumps(info)
