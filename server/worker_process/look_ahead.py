"""The run that is next: its files are read from the disk while the one before it computes.

Their hashes, which its content keys need, are known then, and the system has them in memory: a
checkpoint is loaded from there as fast as it can be copied to the device. Models that it uses and
that are on the device stay there rather than others, and results that it looks for leave last.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from nodegraph.errors import NodeGraphError
from nodegraph.execution.engine import Engine
from nodegraph.graph.dynamic_inputs import inputs_for
from nodegraph.graph.graph import Graph
from nodegraph.validation.defaults import with_defaults
from nodegraph.workflow.read import read_prompt

MEMORY = Path("/proc/meminfo")
_CHUNK: Final = 32 * 2**20
_REMEMBERED: Final = 64
"""Files that were read ahead, or that a run named, and are not read ahead again."""


class LookAhead:
    """Reads the model files of coming runs in a thread of its own, one run at a time.

    Args:
        engine: knows the node types and the folders.
        available: returns the bytes of memory that the system could fill with files.
    """

    def __init__(self, engine: Engine, available: Callable[[], int] | None = None) -> None:
        self._engine = engine
        self._available = available or available_bytes
        self._known: OrderedDict[Path, None] = OrderedDict()
        self._lock = threading.Lock()
        self._busy = threading.Lock()

    def note(self, graph: Graph) -> None:
        """Note a run that begins: its files are in use, and need not be read ahead."""
        for path in self._paths(graph):
            self._remember(path)

    def expect(self, prompt: Mapping[str, Any]) -> threading.Thread | None:
        """Read the files of a run that will probably come next; None if others are being read."""
        if not self._busy.acquire(blocking=False):
            return None
        thread = threading.Thread(target=self._read_all, args=(prompt,), name="look-ahead")
        thread.daemon = True
        thread.start()
        return thread

    def _read_all(self, prompt: Mapping[str, Any]) -> None:
        try:
            with suppress(NodeGraphError, OSError):  # the run itself says what is wrong
                graph = with_defaults(read_prompt(prompt), self._engine.registry.catalog)
                for path in self._paths(graph):
                    if path not in self._known:
                        if not self._fits(path):
                            continue
                        self._engine.files.identity(path)
                        for file in _files(path):
                            _read(file)
                    self._remember(path)
                if all(path in self._known for path in self._paths(graph)):
                    self._engine.expect(graph)
        finally:
            self._busy.release()

    def _fits(self, path: Path) -> bool:
        """Return True if the files take at most half of the memory that is there for them."""
        return sum(file.stat().st_size for file in _files(path)) <= self._available() // 2

    def _remember(self, path: Path) -> None:
        with self._lock:
            self._known[path] = None
            self._known.move_to_end(path)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def _paths(self, graph: Graph) -> Iterator[Path]:
        """Yield the model files here that a graph names."""
        catalog, models = self._engine.registry.catalog, self._engine.files.models
        for node in graph.nodes.values():
            spec = catalog.get(node.type_name)
            for item in inputs_for(spec.inputs, node.inputs) if spec else ():
                name = node.inputs.get(item.name)
                if item.model_folder and isinstance(name, str) and name not in item.pairs:
                    with suppress(NodeGraphError):
                        yield models.source(item.model_folder, name)


def available_bytes() -> int:
    """Return the memory that the system can give or fill with files; 0 if it does not say."""
    if not MEMORY.exists():
        return 0
    lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
    return int(lines.get("MemAvailable", "0 kB").split()[0]) * 1024


def _files(path: Path) -> list[Path]:
    """Return a file, or those of a folder."""
    if not path.is_dir():
        return [path]
    return [file for file in path.rglob("*") if file.is_file()]


def _read(path: Path) -> None:
    """Have the system read a file into memory; what is there already costs nothing."""
    if not hasattr(os, "posix_fadvise"):
        return
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for start in range(0, size, _CHUNK):
            os.posix_fadvise(file.fileno(), start, _CHUNK, os.POSIX_FADV_WILLNEED)
