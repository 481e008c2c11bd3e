"""The modules that a pack imports and Python does not find: read from its code, and noted."""

import ast
import importlib.util
import inspect
import os
import sys
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType

_MOST_FILES = 400
_MOST_FRAMES = 30
_ON_THE_WAY = (__file__, "import_hook.py")
"""Files through which imports of packs' code pass, beside Python's own."""
_CATCHES = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
Missing = dict[str, str]
"""Top-level modules, each with the line that imports it: `/packs/mine/nodes.py:3`."""


def can_find(module: str) -> bool:
    """Return True if Python finds a top-level module, which is not imported."""
    if module in sys.stdlib_module_names or module in sys.modules:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def missing_imports(origin: Path, provided: Collection[str] = ()) -> Missing:
    """Return what a pack's code imports for certain, as soon as it is loaded, and is not there.

    Imports in functions and in `try` blocks that catch their failure do not count. Only files
    that the first one leads to are read.

    Args:
        origin: the pack's first file.
        provided: top-level modules that its host gives it.
    """
    folder = origin.parent if origin.name == "__init__.py" else None
    known = {*provided, *(_own_names(folder) if folder else ())}
    waiting, seen, missing = [origin], {origin}, Missing()
    while waiting and len(seen) < _MOST_FILES:
        file = waiting.pop(0)
        for item in _statements(_body(file)):
            for name in _absolute(item):
                if not (name in known or can_find(name)):
                    missing.setdefault(name, f"{file}:{item.lineno}")
            fresh = [path for path in _own_files(item, file, folder) if path not in seen]
            waiting += fresh
            seen.update(fresh)
    return missing


def _body(file: Path) -> list[ast.stmt]:
    try:
        return ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the imports that run when a module does."""
    for item in body:
        if isinstance(item, ast.Import | ast.ImportFrom):
            yield item
        elif isinstance(item, ast.Try):
            yield from _statements([] if _is_careful(item) else item.body)
            yield from _statements([*item.orelse, *item.finalbody])
        elif isinstance(item, ast.With | ast.ClassDef):
            yield from _statements(item.body)


def _is_careful(item: ast.Try) -> bool:
    """Return True if a `try` goes on when an import in it fails."""
    for handler in item.handlers:
        kinds = ast.unparse(handler.type) if handler.type else "Exception"
        ends = any(isinstance(part, ast.Raise) for part in handler.body)
        if any(kind in kinds for kind in _CATCHES) and not ends:
            return True
    return False


def _absolute(item: ast.stmt) -> list[str]:
    """Return the top-level modules of an import; none for one that is relative."""
    if isinstance(item, ast.Import):
        return [alias.name.partition(".")[0] for alias in item.names]
    if isinstance(item, ast.ImportFrom) and item.module and not item.level:
        return [item.module.partition(".")[0]]
    return []


def _own_names(folder: Path) -> set[str]:
    """Return the modules in a pack's folders, which many packs add to `sys.path`."""
    names = {folder.name}
    for _, below, files in os.walk(folder):
        below[:] = [name for name in below if name[0] != "."]
        names.update(below, (name.removesuffix(".py") for name in files if name.endswith(".py")))
    return names


def _own_files(item: ast.stmt, file: Path, folder: Path | None) -> list[Path]:
    """Return the files of the pack that a relative import leads to."""
    if folder is None or not isinstance(item, ast.ImportFrom) or not item.level:
        return []
    base = file.parent
    for _ in range(item.level - 1):
        base = base.parent
    base = base.joinpath(*(item.module or "").split("."))
    places = [base, *(base / alias.name for alias in item.names)]
    files = [path for place in places for path in (Path(f"{place}.py"), place / "__init__.py")]
    return [path for path in files if path.is_relative_to(folder) and path.is_file()]


class _Noting(MetaPathFinder):
    """The last finder: it is asked for what no other finds, and only takes notes."""

    def __init__(self, root: Path) -> None:
        self.root = f"{root}/"
        self.missing = Missing()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Note a module that code of the pack imports; find nothing."""
        del path, target
        place = self._line(inspect.currentframe()) if "." not in fullname else ""
        if place:
            self.missing.setdefault(fullname, place)
        return None

    def _line(self, frame: FrameType | None) -> str:
        """Return the line of the pack that imports; empty if other code does."""
        for _ in range(_MOST_FRAMES):
            if frame is None:
                break
            name = frame.f_code.co_filename
            if name.startswith(self.root):
                return f"{name}:{frame.f_lineno}"
            if not ("importlib" in name or name.endswith(_ON_THE_WAY)):
                break
            frame = frame.f_back
        return ""


@contextmanager
def noted_imports(root: Path) -> Generator[Missing]:
    """Give the modules that code below a folder looks for in vain within this block.

    A pack that catches the failure of an import is found out that way, too.
    """
    noting = _Noting(root)
    sys.meta_path.append(noting)
    try:
        yield noting.missing
    finally:
        sys.meta_path.remove(noting)
