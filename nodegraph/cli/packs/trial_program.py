"""Runs the trials of a pack's node types, in a process of its own that a node may end or block.

`python -m nodegraph.cli.packs.trial_program` reads the pack's name, the names of node types and a
folder for files from stdin, as JSON, and prints a line of JSON for each type: first that it begins,
then what came of it.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from nodegraph.cli.packs.trial_graphs import MAKER, NotTriedError, TrialGraphs
from nodegraph.cli.packs.trial_workflow import as_editor_saves
from nodegraph.errors import InvalidWorkflowError, NodeGraphError
from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.settings.settings import Settings


def try_types(
    pack: str, names: list[str], folder: Path, tell: Callable[[Mapping[str, object]], None]
) -> None:
    """Run one graph for each node type; what the nodes save goes below `folder`."""
    settings = Settings.read()
    registry = Registry.from_settings(settings)
    files = settings.files(registry.model_places)
    apart = replace(files.folders, output=folder / "output", temp=folder / "temp")
    elsewhere = {kind: where for kind, where in files.elsewhere.items() if kind == "input"}
    files = replace(files, folders=apart, elsewhere=elsewhere)
    engine = Engine.from_settings(settings, registry, files)
    graphs = TrialGraphs(registry.catalog, files, registry.types_of(pack))
    with suppress(NodeGraphError):  # told of each of its node types
        registry.find(names[0])  # imports the pack
    for name in names:
        tell({"begins": name})
        started = perf_counter()
        found = _try(engine, graphs, name)
        tell({"type": name, "seconds": round(perf_counter() - started, 3)} | found)


def _try(engine: Engine, graphs: TrialGraphs, name: str) -> dict[str, object]:
    """Run a node type; one that makes a value for it and fails itself is replaced by another."""
    failed: dict[str, str] = {}
    while True:
        graph = None
        try:
            graph = graphs.of(name, failed)
            workflow = as_editor_saves(graph, graphs.catalog)
            done = engine.run(
                graph, targets=graphs.targets(graph), extra_pnginfo={"workflow": workflow}
            )
        except NotTriedError as error:
            reasons = [error.reason, *(f"{maker} fails: {why}" for maker, why in failed.items())]
            return {"outcome": "not tried", "reason": "; ".join(reasons)}
        except NodeGraphError as error:
            first = error.problems[0] if isinstance(error, InvalidWorkflowError) else error
            reason = " ".join(str(first).split())
            maker = graph.nodes.get(first.node_id or "") if graph else None
            if maker and maker.id.startswith(MAKER) and maker.type_name not in failed:
                failed[maker.type_name] = reason
                continue
            return {"outcome": "fails", "reason": reason}
        return {"outcome": "runs", "shows": {key: ui.as_dict() for key, ui in done.ui.items()}}


def main() -> None:
    """Read the trials from stdin, and print what comes of them to what was stdout."""
    job = json.loads(sys.stdin.readline())
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What packs print does not come between the lines.

    def tell(line: Mapping[str, object]) -> None:
        out.write(json.dumps(line, default=str) + "\n")
        out.flush()

    try_types(job["pack"], job["types"], Path(job["folder"]), tell)


if __name__ == "__main__":
    main()
