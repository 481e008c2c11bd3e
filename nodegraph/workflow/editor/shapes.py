"""A node type as the editor draws it: its sockets and its widgets, in their order.

Read from the entry that ComfyUI's `/object_info` has for the type. The widgets of a node are
saved as a bare list of values, so their order, and those that exist in the editor alone, decide
which value is whose.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from nodegraph.graph.json_values import is_list, is_object
from nodegraph.graph.sockets import AUTOGROW, DYNAMICCOMBO
from nodegraph.workflow.editor.document import Slot

CONTROL = "control_after_generate"
_SEEDS = ("seed", "noise_seed")
_NO_BOX: Final = {"x": 0, "y": 0, "width": 0, "height": 0}
_DEFAULTS: Mapping[str, object] = {
    "INT": 0,
    "FLOAT": 0,
    "STRING": "",
    "BOOLEAN": False,
    "BOUNDING_BOX": _NO_BOX | {"width": 512, "height": 512},
    "BOUNDING_BOXES": [],
    "CHART": {},
    "COLOR": "#000000",
    "COLORS": [],
    "COMPOSITOR": {},
    "CURVE": {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"},
    "GALLERIA": [],
    "IMAGECOMPARE": ["", ""],
    "MARKDOWN": "",
    "PAINTER": None,
    "RANGE": {"min": 0, "max": 1},
    "TEXTAREA": "",
    "VIDEO_EDIT": {"trim": {"start_time": 0, "duration": 0}, "crop": _NO_BOX},
}
_WIDGETS = frozenset(
    (*_DEFAULTS, "COMBO", "AUDIO_RECORD", "WEBCAM", "LOAD_3D", "LOAD_3D_ANIMATION")
)
"""Sockets that are drawn as widgets."""
_WITH_PARTS: Mapping[str, tuple[str, ...]] = {"BOUNDING_BOX": ("x", "y", "width", "height")}
"""Widgets that others follow, which show parts of the same value."""
_UNPLACED = ("IMAGECOMPARE",)
"""Widgets that are submitted, but never saved."""
_DRAWN = frozenset((*_WIDGETS, DYNAMICCOMBO))
_UPLOADS = ("image_upload", "video_upload", "audio_upload")
_PLAYERS = ("LoadAudio", "SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "PreviewAudio")
_VIEWERS = ("SaveGLB", "Preview3D", "Preview3DAnimation")


READ_BY_NOBODY = frozenset(("audioUI", "preview", "refresh", "upload", "choose file to upload"))
"""Widgets that exist in the editor alone, but that some versions submit all the same."""


@dataclass(frozen=True, slots=True)
class Widget:
    """One widget."""

    name: str
    type: str
    default: object = None
    first: object = None
    """A list's first choice, which null stands for."""
    sent: bool = True
    """True if it is an input of the node; other widgets exist in the editor alone."""
    saved: bool = True
    """True if a saved value is its value; other widgets always have the default."""
    has_place: bool = True
    """False if a file has no value of it at all, not even one that means nothing."""
    prompt: bool = False
    """True if its text may have comments and `{one|other}`."""
    branches: Mapping[str, "Inputs"] = field(default_factory=dict[str, "Inputs"])
    """The inputs that follow it, by its value."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Sockets and widgets, each in order."""

    sockets: Sequence[Slot]
    widgets: Sequence[Widget]
    rows: Sequence[str] = ()
    """The names of the rows of inputs that grow."""
    forced: Sequence[bool] = ()
    """For each value that a file may hold of the inputs drawn as sockets by force and of the
    widgets, in their order: True if it is such a socket's, and means nothing any more."""

    def grows(self, name: str) -> bool:
        """Say if an input is one of a row that grows."""
        return any(name.startswith(f"{row}.") for row in self.rows)

    def has_socket(self, name: str) -> bool:
        """Say if an input is drawn as a socket alone."""
        return any(slot.name == name for slot in self.sockets)


@dataclass(frozen=True, slots=True)
class Shape:
    """A node type."""

    inputs: Inputs
    title: str
    is_assumed: bool = False
    """True if no pack describes it here, so that names in the file itself go before it."""


Shapes: TypeAlias = Callable[[str], Shape | None]
"""A function that looks a node type up; None if nothing is known of it."""


def shape_of(name: str, entry: Mapping[str, object]) -> Shape:
    """Return the shape of the type `name`, from its `/object_info` entry."""
    inputs = entry.get("input")
    order = entry.get("input_order")
    given = _Given(inputs if is_object(inputs) else {}, order if is_object(order) else {})
    found = _inputs(given, "")
    title = entry.get("display_name")
    return Shape(
        replace(found, widgets=[*found.widgets, *_extras(name)]),
        title if isinstance(title, str) and title else name,
    )


@dataclass(frozen=True, slots=True)
class _Given:
    """The inputs of an entry, as they are declared."""

    groups: Mapping[str, object]
    order: Mapping[str, object] = field(default_factory=dict[str, object])

    def group(self, name: str) -> Iterator[tuple[str, object, dict[str, object]]]:
        """Yield name, kind and options of each input of a group, in order."""
        items, order = self.groups.get(name), self.order.get(name)
        if not is_object(items):
            return
        first = [key for key in order if isinstance(key, str)] if is_list(order) else []
        for key in dict.fromkeys((*first, *items)):
            declared = items.get(key)
            if is_list(declared) and declared:
                options = declared[1] if len(declared) > 1 else None
                yield key, declared[0], options if is_object(options) else {}


def _inputs(given: _Given, prefix: str) -> Inputs:
    sockets: list[Slot] = []
    widgets: list[Widget] = []
    rows: list[str] = []
    forced: list[bool] = []
    for group in ("required", "optional"):
        uploads: list[Widget] = []
        for name, kind, options in given.group(group):
            type_name = _type(kind, options)
            if type_name == AUTOGROW:
                rows.append(prefix + name)  # Its inputs are those that a saved node has.
                continue
            by_force = _is_forced(group, options)
            if by_force or type_name in _DRAWN:
                forced += _places(type_name, options, by_force=by_force)
            if by_force or type_name not in _DRAWN:
                sockets.append(Slot(prefix + name, type_name))
                continue
            widgets.extend(_widgets(prefix + name, type_name, kind, options))
            if any(options.get(key) for key in _UPLOADS):
                uploads.append(Widget("upload", "BUTTON", sent=False))
        widgets.extend(uploads)
    rows += [
        row for widget in widgets for branch in widget.branches.values() for row in branch.rows
    ]
    return Inputs(sockets, widgets, rows, forced)


def _places(type_name: str, options: Mapping[str, object], *, by_force: bool) -> list[bool]:
    """Return an item for each value that a file may hold of an input, as `Inputs.forced` has it."""
    if type_name in _UNPLACED:
        return []
    own = len(_WITH_PARTS.get(type_name, ())) + 1
    return [by_force] * own + [False] * bool(options.get(CONTROL))


def _is_forced(group: str, options: Mapping[str, object]) -> bool:
    """Say if an input is a socket, though its type could be a widget."""
    older = group == "optional" and bool(options.get("defaultInput"))
    return older or bool(options.get("forceInput"))


def _type(kind: object, options: Mapping[str, object]) -> str:
    drawn = options.get("widgetType")
    if isinstance(drawn, str):
        return drawn
    return "COMBO" if is_list(kind) else str(kind)


def _widgets(
    name: str, type_name: str, kind: object, options: Mapping[str, object]
) -> Iterator[Widget]:
    if type_name == DYNAMICCOMBO:
        yield _choice(name, options)
        return
    choices = kind if is_list(kind) else options.get("options")
    first = choices[0] if is_list(choices) and choices else None
    default = options.get("default", _DEFAULTS.get(type_name, first))
    prompt = options.get("dynamicPrompts") is True
    has_place = type_name not in _UNPLACED
    yield Widget(name, type_name, default, first, prompt=prompt, has_place=has_place)
    for part in _WITH_PARTS.get(type_name, ()):
        yield Widget(part, "INT", sent=False)
    seed = type_name == "INT" and name.rpartition(".")[2] in _SEEDS
    if options.get(CONTROL, seed):
        yield Widget(CONTROL, "COMBO", sent=False)
        if type_name == "COMBO":
            yield Widget("control_filter_list", "STRING", sent=False)
    remote = options.get("remote")
    if is_object(remote) and remote.get("control_after_refresh"):
        yield Widget("control_after_refresh", "BOOLEAN", sent=False)
    if is_object(remote) and remote.get("refresh_button"):
        yield Widget("refresh", "BUTTON", "refresh")


def _choice(name: str, options: Mapping[str, object]) -> Widget:
    """Return the widget of a choice, with the inputs that each of its values adds."""
    given = options.get("options")
    branches: dict[str, Inputs] = {}
    for option in given if is_list(given) else ():
        key = option.get("key") if is_object(option) else None
        inputs = option.get("inputs") if is_object(option) else None
        if isinstance(key, str):
            branches[key] = _inputs(_Given(inputs if is_object(inputs) else {}), f"{name}.")
    first = next(iter(branches), None)
    return Widget(name, "COMBO", first, first, branches=branches)


def _extras(type_name: str) -> Iterable[Widget]:
    """Return the widgets that the editor itself adds to nodes of this type."""
    if type_name in _PLAYERS:
        return [Widget("audioUI", "AUDIO_UI", sent=False)]
    if type_name in _VIEWERS:
        return [Widget("image", "PREVIEW_3D", "", saved=False)]
    if type_name == "PreviewAny":
        return [Widget("preview", "STRING", sent=False)]
    return []
