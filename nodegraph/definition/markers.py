"""Annotations that say more about an input or an output than its type."""

from collections.abc import Callable
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

    upload: Literal["image_upload", ""] = ""
    suffixes: tuple[str, ...] = ()
    folder: Literal["input", "output"] = "input"


@dataclass(frozen=True, slots=True)
class Widget:
    """The look of an input in the editor, in ComfyUI's names; a hint, never checked."""

    multiline: bool | None = None
    dynamicPrompts: bool | None = None  # noqa: N815 - the JSON key
    control_after_generate: bool | None = None
    display: str | None = None
    advanced: bool | None = None
    tooltip: str | None = None
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
class Name:
    """An output's name where the field's own, or the socket's, will not do."""

    text: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An output that is a list whose items are mapped over downstream (OUTPUT_IS_LIST)."""


OutsideState = Callable[..., str]
