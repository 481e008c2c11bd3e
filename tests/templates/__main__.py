"""The command `python -m tests.templates`: how many of the editor's templates run.

Each free image template of the installed package, or of one that is unpacked in a folder, runs on
tiny models; the page with the counts and the reasons goes to `benchmarks/results`.
"""

import logging
import re
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

import torch

from nodegraph.execution.engine import Engine
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.packs.registry import Registry
from tests.templates.index import folder_of_templates, free_image_templates
from tests.templates.table import counted, page
from tests.templates.trial import Outcome, attempt

PAGE = Path(__file__).parents[2] / "benchmarks" / "results" / "templates.md"


def engine_in(root: Path, models: Path) -> Engine:
    """Return an engine with the built-in nodes and folders below one."""
    registry = Registry.load(["nodes"])
    places = (root / "input", root / "output", root / "temp")
    return Engine(registry, Files(Folders((models,), *places, registry.model_places)))


def version_of(folder: Path) -> str:
    """Return the version of the package whose templates are in a folder; empty if it is unknown."""
    names = [path.name for path in folder.parents[1].glob("*.dist-info")]
    found = [re.fullmatch(r".*_json-(.+)\.dist-info", name) for name in names]
    return next((match[1] for match in found if match), "")


def main(arguments: list[str]) -> None:
    """Run the templates that the arguments name."""
    parser = ArgumentParser(prog="python -m tests.templates", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="an unpacked package")
    parser.add_argument("--only", default="", help="part of the names of those to run")
    parser.add_argument("--models", type=Path, help="a folder that keeps the tiny models")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write if all ran")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    folder = folder_of_templates(options.folder)
    templates = [each for each in free_image_templates(folder) if options.only in each.name]
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as root:
        engine = engine_in(Path(root), options.models or Path(root) / "models")
        for number, template in enumerate(templates):
            outcomes.append(attempt(template, engine))
            last = outcomes[-1]
            told = ", ".join(last.reasons) or f"{last.pictures} pictures"
            print(f"{number + 1:3} {last.kind:9} {template.name}: {told}", flush=True)
    number, uses = counted(outcomes, "ran")
    print(f"{number} of {len(outcomes)} ran, {uses} uses")
    if not options.only:
        options.page.write_text(page(outcomes, version_of(folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
