"""Modules keep nothing that changes while the program runs; exceptions are listed, with reasons."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("nodegraph", "nodes", "server")

REASONS = {
    "nodegraph.runtime.device_lane:lane_of": (
        "who computes on a device: there is one device for all engines of a process"
    ),
    "nodegraph.runtime.device_lane:turn_of": "who samples there, likewise",
    "nodegraph.runtime.run_environment:_CURRENT": (
        "the run that a thread computes, for code inside networks that no argument reaches"
    ),
    "nodes.models.networks.base.call_context:_CURRENT": (
        "the forward pass that a network is in: diffusers calls the parts that want to know"
    ),
    "nodes.models.networks.call_memory:_figures": (
        "the memory of calls by their shapes: finding it takes a part of a second, and it is the"
        " same for all engines"
    ),
    "nodes.sampling.samplers.registry:ADDED_SAMPLERS": (
        "samplers that packs add when they are imported: a process imports a pack once"
    ),
    "nodes.sampling.noise_schedule.schedules:ADDED_SCHEDULES": "schedules, likewise",
    "nodes.sampling.guidance.session:_CURRENT": (
        "the run whose call is answered: guidance functions of packs ask its model again"
    ),
    "nodes.comfy.values.patches.options:_STATE": (
        "the pass that packs have functions in: diffusers calls the layers that call these"
    ),
    "nodes.comfy.values.runtime:_SCOPE": (
        "the node that runs: packs call ComfyUI's functions, which have no argument for it"
    ),
    "nodes.comfy.values.runtime:_without_packs": (
        "packs share an environment as they share `sys.modules`; this one is for processes without"
    ),
    "nodes.comfy.host.node_classes:NODE_CLASS_MAPPINGS": (
        "where packs look for each other's classes, and add some; it lists modules of the process"
    ),
    "nodegraph.python.graph:_engine": (
        "the engine of graphs that are given none, so that a notebook's graphs share their results"
    ),
    "nodegraph.python.graph:_registry": "the node types of graphs that are given none",
    "server.observability.logs:_ABOUT": (
        "the run that a log record is about: a filter sees the record and nothing else"
    ),
}
"""By module and name."""

CHANGES = (
    *("add", "append", "appendleft", "clear", "difference_update", "discard", "extend"),
    *("insert", "intersection_update", "move_to_end", "pop", "popitem", "popleft", "remove"),
    *("reverse", "set", "setdefault", "sort", "update"),
)
"""The methods by which containers and `ContextVar`s change."""
STARTS = ("__init__", "__new__", "__post_init__")
CACHES = ("cache", "lru_cache")


@dataclass
class Module:
    """A module's code, and the meaning of the names at its top."""

    name: str
    tree: ast.Module
    values: set[str] = field(default_factory=set[str])
    """The names that it assigns at its top."""
    imports: dict[str, str] = field(default_factory=dict[str, str])
    """From names here to `module:name`, or `module` for one that is imported whole."""

    @classmethod
    def read(cls, name: str, text: str) -> "Module":
        module = cls(name, ast.parse(text))
        for statement in module.tree.body:
            for target in targets(statement):
                module.values.add(ast.unparse(target))
        for found in walk(module.tree):
            if isinstance(found, ast.ImportFrom):
                for alias in found.names:
                    module.imports[alias.asname or alias.name] = f"{found.module}:{alias.name}"
        return module

    def origin(self, name: str) -> str:
        """Where a name comes from, as `module:name`."""
        return self.imports.get(name, f"{self.name}:{name}")


@cache
def walk(tree: ast.AST) -> tuple[ast.AST, ...]:
    """All parts of a tree, found once: many questions are asked of each."""
    return tuple(ast.walk(tree))


@pytest.fixture(autouse=True)
def _walks_are_forgotten() -> Iterator[None]:
    yield
    walk.cache_clear()


def house() -> list[Module]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [Module.read(module_name(path), path.read_text()) for path in paths]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AnnAssign) else []


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for found in walk(tree):
        if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
            yield found


def changed(function: ast.AST) -> Iterator[ast.expr]:
    """What a function changes: `a.b` of `a.b[0] = 1`, `del a.b.c` and `a.b.append(1)`."""
    for found in walk(function):
        if isinstance(found, ast.Attribute | ast.Subscript):
            if isinstance(found.ctx, ast.Store | ast.Del):
                yield found.value
        elif (
            isinstance(found, ast.Call)
            and isinstance(found.func, ast.Attribute)
            and found.func.attr in CHANGES
        ):
            yield found.func.value


def root(expression: ast.expr) -> list[str]:
    """The names that an expression begins with: `["a", "b"]` of `a.b[0].c()`."""
    names: list[str] = []
    while not isinstance(expression, ast.Name):
        if isinstance(expression, ast.Attribute):
            names.insert(0, expression.attr)
        elif not isinstance(expression, ast.Subscript):
            return []
        else:
            names.clear()
        expression = expression.value
    return [expression.id, *names]


def local_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    shared = {
        name for part in walk(function) if isinstance(part, ast.Global) for name in part.names
    }
    stored = {
        part.id
        for part in walk(function)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }
    arguments = {part.arg for part in walk(function) if isinstance(part, ast.arg)}
    return (stored - shared) | arguments


def stateful_classes(modules: list[Module]) -> set[str]:
    """The classes whose objects change after they are made, or make such an object for themselves.

    As `module:name`.
    """
    classes = [
        (module, found)
        for module in modules
        for found in walk(module.tree)
        if isinstance(found, ast.ClassDef)
    ]
    stateful = {"contextvars:ContextVar"}
    before = 0
    while len(stateful) > before:
        before = len(stateful)
        stateful |= {
            f"{module.name}:{found.name}"
            for module, found in classes
            if any(_keeps_state(module, method, stateful) for method in functions(found))
        }
    return stateful


def _keeps_state(
    module: Module, method: ast.FunctionDef | ast.AsyncFunctionDef, stateful: set[str]
) -> bool:
    if method.name not in STARTS:
        return any(root(part)[:1] == ["self"] for part in changed(method))
    return any(_maker(module, part) in stateful for part in walk(method))


def _maker(module: Module, value: ast.AST | None) -> str:
    """The class that a call makes an object of, as `module:name`; empty if it is no such call."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return module.origin(value.func.id)
    return ""


def written(modules: list[Module]) -> Iterator[str]:
    """The values at the top of a module that a function of any module changes."""
    values = {module.name: module.values for module in modules}
    for module in modules:
        for function in functions(module.tree):
            yield from (
                f"{module.name}:{name}"
                for part in walk(function)
                if isinstance(part, ast.Global)
                for name in part.names
            )
            private = local_names(function)
            for part in changed(function):
                first, *rest = root(part) or [""]
                if first and first not in private:
                    yield from _known(module.origin(first), rest, values)


def _known(origin: str, rest: list[str], values: Mapping[str, set[str]]) -> Iterator[str]:
    home, _, name = origin.partition(":")
    if name in values.get(home, ()):
        yield origin
    elif rest and rest[0] in values.get(f"{home}.{name}", ()):
        yield f"{home}.{name}:{rest[0]}"  # the name is that of a module


def made(modules: list[Module], stateful: set[str]) -> Iterator[str]:
    """The objects at the top of a module or class that can change."""
    for module in modules:
        for owner in [module.tree, *module.tree.body]:
            if isinstance(owner, ast.Module | ast.ClassDef):
                prefix = f"{owner.name}." if isinstance(owner, ast.ClassDef) else ""
                for statement in owner.body:
                    if _maker(module, getattr(statement, "value", None)) in stateful:
                        for target in targets(statement):
                            yield f"{module.name}:{prefix}{ast.unparse(target)}"


def cached(modules: list[Module], stateful: set[str]) -> Iterator[str]:
    """The functions that make an object that can change, once."""
    for module in modules:
        for function in functions(module.tree):
            kept = {ast.unparse(each).partition("(")[0] for each in function.decorator_list}
            returned = ast.unparse(function.returns).strip("'\"") if function.returns else ""
            if kept.intersection(CACHES) and module.origin(returned) in stateful:
                yield f"{module.name}:{function.name}"


def test_what_changes_at_the_top_of_a_module_has_a_reason():
    modules = house()
    stateful = stateful_classes(modules)
    found = {*written(modules), *made(modules, stateful), *cached(modules, stateful)}

    assert found == set(REASONS)


def test_the_search_finds_what_it_should():
    modules = [
        Module.read(
            "a",
            "from contextvars import ContextVar\nfrom functools import cache\n"
            "class Pool:\n    one: 'Pool'\n    def add(self, x):\n        self.all[x] = 1\n"
            "SEEN = []\nFIXED = []\nHELD: dict[str, int] = {}\nPOOL = Pool()\nCOUNT = 0\n"
            "VARIABLE = ContextVar('v')\nPool.one = Pool()\n"
            "class Holder:\n    def __init__(self):\n        self.pool = Pool()\n"
            "class Plain:\n    def __init__(self):\n        self.x = 1\n"
            "PLAIN = Plain()\nHOLDER = Holder()\n"
            "def f(x):\n    HELD['a'] = 1\n    FIXED = [x]\n    FIXED.append(x)\n"
            "def g():\n    global COUNT\n    COUNT += 1\n"
            "@cache\ndef h() -> Pool:\n    return Pool()\n",
        ),
        Module.read("b.c", "KEPT = {}\n"),
        Module.read(
            "d",
            "from a import Pool, SEEN as seen\nfrom b import c\n"
            "def f(SEEN):\n    seen.append(1)\n    c.KEPT['x'].update(y=1)\n    SEEN.append(1)\n",
        ),
    ]
    stateful = stateful_classes(modules)

    assert set(written(modules)) == {"a:HELD", "a:COUNT", "a:SEEN", "b.c:KEPT"}
    assert set(made(modules, stateful)) == {"a:POOL", "a:VARIABLE", "a:Pool.one", "a:HOLDER"}
    assert set(cached(modules, stateful)) == {"a:h"}
