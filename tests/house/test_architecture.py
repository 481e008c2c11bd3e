"""House rules that a linter cannot see: rooms, file sizes, names, the voice of docstrings."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from nodes import PACK

ROOT = Path(__file__).parents[2]
PACKAGES = ("nodegraph", "nodes", "server")
SOURCES = [
    path
    for package in (*PACKAGES, "training")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ROOT / "training/runs" not in path.parents
]
HOUSE = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in PACKAGES]
ROOMS = sorted({path.parent for path in HOUSE})

SHORT_KINDS = ("__init__.py", "__main__.py", "errors.py")
"""Files that may be short wherever they are: what a room holds, how it starts, what it refuses."""

SHORT_FOLDERS = ("nodes/comfy/host",)
"""One file stands in for one module of ComfyUI, however little of it packs import."""

SHORT_FILES = {
    "nodes/comfy/host/comfy/model_loading.py": "stands in for a module of that name",
    "nodegraph/cli/lock.py": "each command is a file, found by its name",
    "nodegraph/definition/pack.py": "declaring a pack imports nothing but this",
    "nodegraph/files/user_dirs.py": "settings need it before there are folders",
    "nodegraph/graph/sockets.py": "part of the public API, imported by all rooms",
    "nodes/models/text/quotations.py": "one rule for splitting texts, which one family has",
    "nodegraph/python/methods.py": "has a stub of its own, generated from the catalog",
    "nodegraph/settings/ray.py": "each table of settings is a file",
    "nodegraph/runtime/choices.py": "settings, packs and the server import it at cold start",
    "nodes/imaging/tolerant.py": "the codec and the host of ComfyUI's packs share it",
    "nodes/models/adapters/upscaler.py": "each adapter is a file",
    "nodes/models/families/adapters/gligen.py": "each kind of model file is recognised in a file",
    "nodes/models/families/adapters/safety.py": "each kind of model file is recognised in a file",
    "nodes/models/families/controlnets/registry.py": "stands above the kinds, which import spec.py",
    "nodes/models/families/controlnets/spec.py": "stands below the kinds, which registry.py lists",
    "nodes/models/families/original_config.py": "the only file beside models that is YAML",
    "nodes/models/networks/base/centred_positions.py": "two families count positions with it",
    "nodes/models/networks/base/text_inputs.py": "six networks check their texts with it",
    "nodes/models/networks/components/vaes/vae.py": "each network is a file, with its record",
    "nodes/models/networks/denoisers/unets/lotus.py": "each network is a file, with its record",
    "nodes/models/networks/modifiers/perturbed_attention.py": "each paper's change is a file",
    "nodes/models/weights/formats/rotation.py": "numbers are unpacked and rounded with it",
    "nodes/models/text/t5_tokenizer.py": "each tokenizer is a file",
    "nodes/preflight/media.py": "images and models have files of their own",
    "server/api/comfy/object_info.py": "each resource is a file",
    "server/api/v1/handlers/validate.py": "each resource is a file",
    "server/api/v1/schema/paths.py": "the server's start imports it, but no handler",
    "server/pictures/program.py": "the main loop of a process of its own",
    "server/scheduling/active_run.py": "the dispatcher and placing share it",
    "server/store/postgres/migrations/version_6.py": "each version of the tables is a file",
    "server/store/postgres/migrations/version_7.py": "each version of the tables is a file",
    "server/store/postgres/tables.py": "the migrations share it",
    "server/workers/comfyui/scripts.py": "each list that another server gives is read in a file",
}
"""Other files below forty lines, and why each is a file of its own."""
FORMERLY_SHORT = 50
"""The lines from which a file needs no reason any more."""

SMALL_ROOMS = {
    "nodegraph/settings": "read at the start of every command, so that nothing heavy may join",
    "nodes/inference": "models at work, above all models and below the nodes",
    "nodes/models/export": "the reverse of loading, which knows nothing of it",
    "server/store/postgres/migrations": "one file for each version of the tables",
    "server/pictures": "a process of its own, which alone decodes images",
}
"""Rooms of fewer than five files, and why each is a room of its own."""


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for found in ast.walk(tree(path)):
        if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
            yield found


def texts(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value


def docstrings(module: ast.Module) -> Iterator[str]:
    """The docstrings of modules, classes, functions, and of attributes: text right after one."""
    for part in ast.walk(module):
        if isinstance(part, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if docstring := ast.get_docstring(part):
                yield docstring
            for attribute, after in pairwise(part.body):
                if isinstance(attribute, ast.Assign | ast.AnnAssign) and isinstance(
                    after, ast.Expr
                ):
                    yield from texts(after.value)


def test_the_house_is_found():
    assert len(HOUSE) > 300
    assert ROOT / "nodes/builtin" in ROOMS


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_file_is_short_and_says_what_it_holds(path):
    assert len(path.read_text().splitlines()) <= 400
    assert ast.get_docstring(tree(path)), "start with one sentence on what this file holds"


def test_a_file_below_forty_lines_has_a_reason():
    short = {
        named(path)
        for path in HOUSE
        if len(path.read_text().splitlines()) < 40
        and path.name not in SHORT_KINDS
        and not named(path).startswith(SHORT_FOLDERS)
    }

    assert short <= set(SHORT_FILES)


@pytest.mark.parametrize("name", SHORT_FILES)
def test_a_reason_is_given_for_a_short_file_alone(name):
    assert len((ROOT / name).read_text().splitlines()) < FORMERLY_SHORT


def test_every_file_that_declares_a_node_type_is_in_the_pack():
    files = [
        path
        for path in (ROOT / "nodes").rglob("*.py")
        if re.search(r"^@node\(", path.read_text(), re.MULTILINE)
    ]
    dotted = {named(path).removesuffix(".py").replace("/", ".") for path in files}

    assert len(dotted) > 50
    assert dotted <= set(PACK.modules)


@pytest.mark.parametrize("room", ROOMS, ids=named)
def test_room_can_be_taken_in_at_a_glance(room):
    files = [path for path in room.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    rooms = [path for path in room.iterdir() if path in ROOMS]

    assert (room / "__init__.py").exists()
    assert len(files) + len(rooms) <= 14
    if named(room) not in SMALL_ROOMS:
        assert len(files) + len(rooms) + 1 >= 5


def test_no_file_has_a_name_that_says_nothing():
    empty_names = {"utils.py", "helpers.py", "common.py", "manager.py"}

    assert not [path for path in SOURCES if path.name in empty_names]


def test_docstrings_say_what_a_thing_is_or_does():
    indirect = re.compile(r"(What|How|Whether|Which)\b")

    found = [
        f"{named(path)}: {docstring.splitlines()[0]}"
        for path in SOURCES
        for docstring in docstrings(tree(path))
        if indirect.match(docstring)
    ]

    assert found == []


IRREGULAR = """
begun bound broken brought built caught chosen done drawn driven fallen fed felt forgotten
found frozen given gone grown held hidden kept known laid led left lent lost made meant met
overwritten paid rewritten said seen sent shaken shown sold spent spoken stuck sunk
taken taught thought thrown told torn understood undone unknown unread unseen won worn
written wound wrapped
"""
"""Past participles that do not end in -ed, without those that are verbs, too, such as `split`."""

NOT_PARTICIPLES = {"embed", "feed", "need", "proceed", "seed", "shed", "speed"}

GIVEN_NAMES = {
    "nodegraph/client/values.py: ended": "users of the client read this field",
    "server/web/access_log.py: enabled": "aiohttp's AbstractAccessLogger has it",
}
"""Participles that stay, and why."""


def is_participle(name: str) -> bool:
    word = name.strip("_")
    if "_" in word or word in NOT_PARTICIPLES:
        return False
    return word in IRREGULAR.split() or word.endswith("ed")


@pytest.mark.parametrize("name", ["told", "_shown", "opened"])
def test_a_lone_participle_is_seen(name):
    assert is_participle(name)


def test_functions_are_verbs_or_nouns():
    found = [
        f"{named(path)}: {function.name}"
        for path in HOUSE
        for function in functions(path)
        if is_participle(function.name)
    ]

    assert set(found) == set(GIVEN_NAMES)
