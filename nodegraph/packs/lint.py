"""Check a pack for mistakes without running any of its nodes."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from nodegraph.errors import PackError
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.catalog import PackSource, describe_apart
from nodegraph.packs.environment.advice import advice_for
from nodegraph.packs.environment.requirements import versions_for
from nodegraph.packs.installed import BUILT_IN
from nodegraph.runtime.choices import PATIENCE

Level: TypeAlias = Literal["error", "warning"]
PUBLIC = ("nodegraph", "nodes.values")
"""The modules of this project that packs may import."""
_OWN = ("nodegraph", "nodes", "server")
_MOST_LINES = 20
_PICKLES = ("pickle", "cPickle", "dill", "joblib", "marshal", "shelve")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or could be better."""

    level: Level
    where: str
    """A file and a line, or a node type."""
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.level}: {self.message}"


def check_pack(
    source: PackSource, others: Mapping[str, str], patience: float = PATIENCE
) -> list[Finding]:
    """Import a pack in a child process, and check its packages, declarations and code.

    A pack that was written for another program keeps that program's rules of code, which are not
    checked.

    Args:
        source: the pack.
        others: the node types of all other packs, each with its pack's name.
        patience: the most seconds that its import may take.
    """
    try:
        files = _files(source)
    except PackError as error:
        return [Finding("error", source.name, str(error))]
    findings = (
        [] if source.host else [found for path in files for found in _check_code(path, source.name)]
    )
    try:
        catalog = describe_apart(source, patience)
    except PackError as error:
        return [
            *findings,
            Finding("error", source.name, str(error)),
            *_printed_lines(source, error),
        ]
    findings += _check_environment(source, catalog.without)
    for name, reason in catalog.left_out.items():
        findings.append(Finding("error", name, f"it is left out: {reason}"))
    if not catalog.nodes:
        findings.append(Finding("warning", source.name, "it has no node types."))
    for spec in catalog.nodes:
        findings += _check_name(spec, others)
        findings += [] if source.host else _check_node(spec)
    return findings


def _check_environment(source: PackSource, without: Iterable[str]) -> Iterator[Finding]:
    python = source.python
    advice = advice_for(source.folder, dict.fromkeys(without, ""), versions_for(python), python)
    for line in advice.lines():
        yield Finding("warning", source.name, f"{line}.")


def _printed_lines(source: PackSource, error: PackError) -> Iterator[Finding]:
    """Yield the last lines that a pack printed before it failed."""
    for line in str(error.details.get("printed", "")).splitlines()[-_MOST_LINES:]:
        yield Finding("warning", source.name, f"it printed: {line}")


def _check_name(spec: NodeSpec, others: Mapping[str, str]) -> Iterator[Finding]:
    if spec.name in others:
        message = f"the pack {others[spec.name]!r} has a node type of this name, too."
        yield Finding("error", spec.name, message)


def _check_node(spec: NodeSpec) -> Iterator[Finding]:
    if not spec.description:
        yield Finding("warning", spec.name, "its function has no docstring, the node's help.")
    if not spec.category:
        yield Finding("warning", spec.name, "it has no category, its place in the editor's menu.")
    if not spec.outputs and not spec.output_node:
        yield Finding(
            "warning", spec.name, "it has no outputs and is no output node, so it never runs."
        )


def _files(source: PackSource) -> list[Path]:
    origin = source.origin()
    return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]


def _check_code(path: Path, pack: str) -> Iterator[Finding]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        yield Finding("error", f"{path}:{line}", f"this is not valid Python: {error}.")
        return
    modules = _modules(tree, pack)
    for item in ast.walk(tree):
        for changed in _replaced_attributes(item, modules):
            message = f"it replaces {changed} for the whole process, so other nodes may fail."
            yield Finding("warning", f"{path}:{getattr(item, 'lineno', 1)}", message)
        for name in _imports(item):
            message = _objection(name, pack)
            if message:
                yield Finding("error", f"{path}:{getattr(item, 'lineno', 1)}", message)
        if isinstance(item, ast.Call) and _runs_pickles(item):
            message = "torch.load without weights_only=True runs whatever is in the file."
            yield Finding("error", f"{path}:{item.lineno}", message)


def _modules(tree: ast.AST, pack: str) -> dict[str, str]:
    """Return the modules of other packages that a file imports, by their names in it."""
    found: dict[str, str] = {}
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            for alias in item.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or name] = name
    return {short: name for short, name in found.items() if name.partition(".")[0] != pack}


def _replaced_attributes(item: ast.AST, modules: Mapping[str, str]) -> Iterator[str]:
    """Yield the attributes of other packages that a statement replaces: `torch.zeros = …`."""
    targets: list[ast.expr] = []
    if isinstance(item, ast.Assign):
        targets = item.targets
    elif isinstance(item, ast.AugAssign | ast.AnnAssign):
        targets = [item.target]
    for target in targets:
        words = ast.unparse(target).split(".")
        if isinstance(target, ast.Attribute) and words[0] in modules:
            yield ".".join([modules[words[0]], *words[1:]])
    if isinstance(item, ast.Call) and ast.unparse(item.func) == "setattr" and item.args:
        whole = ast.unparse(item.args[0])
        first, _, rest = whole.partition(".")
        if first in modules:
            yield f"{modules[first]}.{rest}".rstrip(".")


def _imports(item: ast.AST) -> Iterable[str]:
    """Return the modules that a statement imports."""
    if isinstance(item, ast.Import):
        return [alias.name for alias in item.names]
    if isinstance(item, ast.ImportFrom) and item.module and not item.level:
        return [item.module]
    return []


def _objection(name: str, pack: str) -> str:
    """Return the reason not to import a module; empty if packs may import it."""
    top = name.partition(".")[0]
    if top in _PICKLES:
        return f"{name} runs code that is in the data it reads; use safetensors or JSON."
    if pack == BUILT_IN or top == pack or top not in _OWN or name in PUBLIC:
        return ""
    return f"{name} is not public and may change; there are {' and '.join(PUBLIC)}."


def _runs_pickles(call: ast.Call) -> bool:
    function = call.func
    loads = isinstance(function, ast.Attribute) and ast.unparse(function) == "torch.load"
    safe = any(
        word.arg == "weights_only" and isinstance(word.value, ast.Constant) and word.value.value
        for word in call.keywords
    )
    return loads and not safe
