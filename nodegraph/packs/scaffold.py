"""Create a new pack's files: a node, its test, and the project file to install it."""

import re
import sys
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

from nodegraph.errors import NodeGraphError

_INIT = '''"""{title}: node types for nodegraph."""

from nodegraph import Pack

PACK = Pack("{name}", "0.1.0", ("{name}.node_types",))
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
from {name}.node_types import darken


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
    "node_types.py": _NODES,
    "tests/__init__.py": "",
    "tests/test_node_types.py": _TEST,
    "README.md": _README,
    "pyproject.toml": _PROJECT,
}


_NAME = re.compile(r"[a-z]([a-z0-9_]*[a-z0-9])?")
"""A module's name that is the name of a distribution, too, once its underscores are dashes."""


class ScaffoldError(NodeGraphError):
    """A new pack can not be made."""

    code = "cannot_make_pack"


def make_pack(name: str, folder: Path) -> Path:
    """Write a new pack's files to a sub-folder of `folder`, and return the path of that.

    Raises:
        ScaffoldError: the name is not one for a Python module, another module has it, or the
            folder exists.
    """
    _check_name(name)
    root = folder / name
    if root.exists():
        message = f"{root} exists already."
        raise ScaffoldError(message, hint="Choose another name or --folder.")
    _check_no_module(name)
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


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        message = f"{name!r} is not a valid name for a pack."
        hint = (
            "Use small letters (a to z), digits and underscores, a letter first and no underscore "
            "last: my_nodes."
        )
        raise ScaffoldError(message, hint=hint)
    if iskeyword(name):
        message = f"{name!r} is not a valid name for a pack: it is a keyword of Python."
        raise ScaffoldError(message, hint="Choose another name.")


def _check_no_module(name: str) -> None:
    """Refuse a name that Python or an installed distribution has: one would hide the other."""
    if name in sys.stdlib_module_names:
        message = f"{name!r} is not a valid name for a pack: Python has a module of this name."
    elif place := _find_module(name):
        message = f"{name!r} is not a valid name for a pack: a module has it already, {place}."
    else:
        return
    raise ScaffoldError(message, hint="Choose another name.")


def _find_module(name: str) -> str | None:
    """Return the place of the module of this name; None if there is none.

    A folder without `__init__.py` in the current folder does not count: a pack goes before it.
    """
    spec = find_spec(name)
    if spec is None or spec.origin:
        return spec and spec.origin
    here = Path.cwd()
    folders = map(Path, spec.submodule_search_locations or ())
    return next((str(found) for found in folders if found.absolute().parent != here), None)
