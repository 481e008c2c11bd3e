"""The run of one template on tiny models, and the reason if it makes no picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image as Pictures
from PIL import ImageDraw

from nodegraph.errors import NodeGraphError
from nodegraph.execution.engine import Engine
from nodegraph.files.folders import Folders
from nodegraph.graph.graph import Graph
from nodegraph.graph.results import Ui
from nodegraph.validation.missing import Missing, is_missing, missing_in
from nodegraph.validation.providers import providers_of
from tests.templates.index import Template
from tests.templates.lacking import lacking_family
from tests.templates.smaller import smaller
from tests.templates.tiny_files import unread_family, write_tiny

Kind = Literal["ran", "family", "node type", "fault"]
_SIZE = (96, 64)
_SHOWN = 300
_PLAIN = 1.0
"""The spread of a picture's numbers, of 0 to 255, below which there is nothing on it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a template."""

    template: Template
    kind: Kind
    reasons: tuple[str, ...] = ()
    """Names of families or node types that are not here, or the error; none if it ran."""
    pictures: int = 0


def attempt(template: Template, engine: Engine) -> Outcome:
    """Run a template with tiny models in place of the files that it names.

    Args:
        template: in the editor's format.
        engine: with folders of its own, which are written to.
    """
    try:
        return _attempt(template, engine)
    except NodeGraphError as error:
        if family := unread_family(str(error)):
            return Outcome(template, "family", (family,))
        return Outcome(template, "fault", (f"{error.code}: {str(error)[:_SHOWN]}",))
    finally:
        engine.free()


def _attempt(template: Template, engine: Engine) -> Outcome:
    graph = smaller(engine.read(template.path), engine.registry.catalog)
    _give_pictures(graph, engine)
    missing = _missing(graph, engine)
    lacking = _families(missing, engine.files.folders)
    if lacking:
        return Outcome(template, "family", lacking)
    if types := _types(missing):
        return Outcome(template, "node type", types)
    checked = engine.check(graph)
    torch.manual_seed(0)
    result = engine.run(checked)
    shown = [path for ui in result.ui.values() for path in _pictures(ui, engine.files.folders)]
    if not shown and not any(ui.values for ui in result.ui.values()):
        return Outcome(template, "fault", ("it showed nothing",))
    if shown and max(map(_spread, shown)) < _PLAIN:
        return Outcome(template, "fault", ("its pictures are plain",))
    return Outcome(template, "ran", pictures=len(shown))


def _pictures(ui: Ui, folders: Folders) -> list[Path]:
    roots = {"output": folders.output, "temp": folders.temp, "input": folders.input}
    items = ui.artifacts.get("images", ())
    return [roots[item.type] / item.subfolder / item.filename for item in items]


def _spread(path: Path) -> float:
    return float(np.asarray(Pictures.open(path).convert("RGB"), np.float32).std())


def _missing(graph: Graph, engine: Engine) -> Missing:
    problems = [each for each in engine.check(graph).problems if is_missing(each)]
    return missing_in(problems, providers_of(graph.editor))


def _families(missing: Missing, folders: Folders) -> tuple[str, ...]:
    """Write the tiny files of all models; returns the families of those that there are none of."""
    models = folders.models[0]
    without = [each for each in missing.models if not write_tiny(models, each.folder, each.name)]
    found = {lacking_family(each.name) or f"the file {each.name}" for each in without}
    return tuple(sorted(found))


def _types(missing: Missing) -> tuple[str, ...]:
    newer = missing.newer.types if missing.newer else ()
    packs = [each for pack in missing.packs for each in pack.types]
    return tuple(sorted({each.name for each in (*newer, *packs, *missing.types)}))


def _give_pictures(graph: Graph, engine: Engine) -> None:
    """Write a picture with a hole in it for each that a template loads."""
    for node in graph.nodes.values():
        spec = engine.registry.catalog.get(node.type_name)
        for each in spec.inputs if spec else ():
            name = node.inputs.get(each.name)
            if each.input_file and isinstance(name, str):
                write_picture(engine.files.folders.input / name)


def write_picture(path: Path) -> None:
    """Write a small picture, a disk on a ground with a transparent corner, in the name's format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Pictures.new("RGBA", _SIZE, (40, 80, 120, 255))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((24, 8, 72, 56), fill=(220, 160, 60, 255))
    draw.rectangle((0, 0, 20, 20), fill=(0, 0, 0, 0))
    lacks_alpha = path.suffix.lower() in (".jpg", ".jpeg", ".bmp")
    (picture.convert("RGB") if lacks_alpha else picture).save(path)
