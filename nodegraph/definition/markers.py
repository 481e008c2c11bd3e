"""Annotations that say more about an input or an output than its type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Step:
    """The change of a value by one click of the editor's arrow; a hint, never checked."""

    size: float


@dataclass(frozen=True, slots=True)
class Round:
    """The precision the editor shows and stores; a hint, never checked."""

    to: float


@dataclass(frozen=True, slots=True)
class Choices:
    """A string out of a fixed list that is longer than a `Literal` reads well."""

    values: tuple[str, ...]
    closed: bool = True
    """False if the node takes any other text, too."""
    registered: str = ""
    """The kind of names, such as `samplers`, that packs may add; see `Pack.choices`."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of one model folder, by its path below it: `ModelFile("checkpoints")`."""

    folder: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """Further choices beside files: a name is one while its two files are there.

    They lie in a model folder and are called `NAME_encoder` and `NAME_decoder`.
    """

    folder: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the input folder: `upload` names the editor's upload button, if any.

    One of the output folder is named `name [output]`.
    """

    upload: Literal["image_upload", "video_upload", "audio_upload", ""] = ""
    suffixes: tuple[str, ...] = ()
    folder: Literal["input", "output"] = "input"


@dataclass(frozen=True, slots=True)
class Widget:
    """The look of an input in the editor, in ComfyUI's names; a hint, never checked."""

    multiline: bool | None = None
    dynamicPrompts: bool | None = None  # noqa: N815 - the JSON key
    control_after_generate: bool | Literal["fixed", "randomize"] | None = None
    """True if the editor may change the value after each run, or how it begins to."""
    display: str | None = None
    advanced: bool | None = None
    forceInput: bool | None = None  # noqa: N815 - the JSON key
    """A socket without a widget, though the type has one."""
    tooltip: str | None = None
    widgetType: str | None = None  # noqa: N815 - the JSON key
    """The widget that the editor draws, if it is not the type's own."""
    socketless: bool | None = None
    """A widget alone, which takes no link."""
    hidden: bool | None = None
    """The editor's own: it is set, but not drawn."""
    default: object = None
    """The editor's default where the function itself has none."""


@dataclass(frozen=True, slots=True)
class Optional:
    """The input may be left out; the function's default stands in. `T | None` implies it."""


@dataclass(frozen=True, slots=True)
class Lazy:
    """The input is computed only if the node's `needs` function asks for it."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """As many inputs as are linked: `**images: Annotated[Image, Numbered("image", 2, 8)]`.

    They are called `image1`, `image2` and so on; the function gets those that are there, by
    these names.
    """

    prefix: str
    least: int
    """The number of required ones."""
    most: int


@dataclass(frozen=True, slots=True)
class Autogrow:
    """A row of inputs that grows as they are used.

    `images: Annotated[dict[str, Image], Autogrow("image")]` is one. A graph has its inputs as
    `images.image0`, `images.image1` and so on, or by `names` as `values.a`; the function gets
    those that are linked in a dict, by the names after the dot. `Numbered` inputs have no dot and
    begin at 1.
    """

    prefix: str = ""
    names: tuple[str, ...] = ()
    """The names in place of a prefix and a number, in order."""
    least: int = 1
    """The number of required ones."""
    most: int = 100
    """The number of all; as many as there are names, if there are."""


@dataclass(frozen=True, slots=True)
class DynamicCombo:
    """A choice that brings inputs of its own along, as the fields of a dataclass.

    `format: Annotated[Png | Exr, DynamicCombo({"png": Png, "exr": Exr})]` is a list of `png` and
    `exr`; a graph has the fields of the one chosen as `format.bit_depth`, and the function gets it
    as an object of its class. The first is the default.
    """

    options: Mapping[str, type]


@dataclass(frozen=True, slots=True)
class Name:
    """An output's name where the field's own, or the socket's, will not do."""

    text: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An output that is a list whose items are mapped over downstream (OUTPUT_IS_LIST)."""


OutsideState = Callable[..., str]
