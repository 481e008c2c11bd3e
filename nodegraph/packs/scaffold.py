"""Create a new pack's files: a node, its test, and the project file to install it."""

from pathlib import Path

from nodegraph.errors import NodeGraphError

_INIT = '''"""{title}: node types for nodegraph."""

from nodegraph import Pack

PACK = Pack("{name}", "0.1.0", ("{name}.nodes",))
'''
_NODES = '''"""The node types."""

from typing import Annotated

from nodegraph import Step, node
from nodes.values import Image
from pydantic import Field

Strength = Annotated[float, Field(ge=0.0, le=1.0), Step(0.05)]


@node("{type_name}Darken", category="{title}", display_name="Darken")
def darken(image: Image, strength: Strength = 0.5) -> Image:
    """Make pictures darker: 0 changes nothing, 1 is black."""
    return image * (1.0 - strength)
'''
_TEST = '''"""The node types, run by the engine."""

import torch
from {name}.nodes import darken


def test_darkens(run_node):
    white = torch.ones(1, 4, 4, 3)

    dark = run_node(darken, image=white, strength=0.25).value

    assert dark.shape == white.shape
    assert torch.allclose(dark, torch.full_like(white, 0.75))


def test_says_which_strengths_there_are(run_node):
    result = run_node(darken, image=torch.ones(1, 4, 4, 3), strength=2.0)

    assert [problem.code for problem in result.problems] == ["value_bigger_than_max"]
'''
_README = """# {title}

Node types for [nodegraph](https://pypi.org/project/nodegraph/).

To use it, put this folder into nodegraph's `packs` folder, or install it: `pip install -e .`

    nodegraph packs check {name}    # is everything declared as it should be?
    pytest                          # do the nodes do what they should?
"""
_PROJECT = """[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "{dashed}"
version = "0.1.0"
description = "Node types for nodegraph"
requires-python = ">=3.11"
dependencies = ["nodegraph"]

[project.entry-points."nodegraph.packs"]
{name} = "{name}"

[tool.setuptools]
packages = ["{name}"]
package-dir = {{ "{name}" = "." }}
"""
_FILES = {
    "__init__.py": _INIT,
    "nodes.py": _NODES,
    "tests/__init__.py": "",
    "tests/test_nodes.py": _TEST,
    "README.md": _README,
    "pyproject.toml": _PROJECT,
}


class ScaffoldError(NodeGraphError):
    """A new pack can not be made."""

    code = "cannot_make_pack"


def make_pack(name: str, folder: Path) -> Path:
    """Write a new pack's files to a sub-folder of `folder`, and return the path of that.

    Raises:
        ScaffoldError: the name is not one for a Python module, or the folder exists.
    """
    if not name.isidentifier() or name != name.lower():
        hint = "Use small letters, digits and underscores: my_nodes."
        message = f"{name!r} is not a valid name for a pack."
        raise ScaffoldError(message, hint=hint)
    root = folder / name
    if root.exists():
        message = f"{root} exists already."
        raise ScaffoldError(message, hint="Choose another name or --folder.")
    words = name.replace("_", " ")
    known = {
        "name": name,
        "title": words.capitalize(),
        "type_name": words.title().replace(" ", ""),
        "dashed": name.replace("_", "-"),
    }
    for path, text in _FILES.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.format(**known), encoding="utf-8")
    return root
