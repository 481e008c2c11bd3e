"""Texts of the WAS Node Suite."""

import random
import re
import time
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Optional, Widget
from nodegraph.definition.node import node
from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.graph.results import Ui
from nodegraph.graph.sockets import Socket
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.inputs import Prompt, Seed
from nodes.builtin.text.strings import check_length
from nodes.models.loading.handles import ClipHandle
from nodes.models.text.textual_inversion import embedding_hashes
from nodes.values import Conditioning

Line = Annotated[str, Widget(multiline=False)]
LinkedText = Annotated[str, Widget(forceInput=True)]
MaybeText = Annotated[str, Optional(), Widget(forceInput=True)]

_CATEGORY = "popular/WAS Suite"
_TIME = "[time]"
_FORMATTED_TIME = re.compile(r"\[time\((.*?)\)\]")
_MOST_BYTES = 16 << 20


class FourTexts(NamedTuple):
    """The outputs of `Text String`."""

    TEXT: str
    TEXT_B: str
    TEXT_C: str
    TEXT_D: str


class TextAndLines(NamedTuple):
    """The outputs of `Load Text File`."""

    text: str
    lines: Annotated[dict[str, list[str]], Socket("DICT")]


def _now(inputs: Mapping[str, object], _files: Files) -> str:
    """Return the time if a text asks for it."""
    asks = any(isinstance(value, str) and "[time" in value for value in inputs.values())
    return str(time.time_ns()) if asks else ""


@node("Text Multiline", category=_CATEGORY, state=_now, gives_way=True)
def text_multiline(text: Prompt = "") -> str:
    """Hold a text of several lines, without the lines that begin with `#`.

    `[time]` becomes the seconds since 1970, `[time(%Y-%m-%d)]` the date; also in `Text String`.
    """
    return _with_time("\n".join(_without_comments(text)))


@node("Text String", category=_CATEGORY, state=_now, gives_way=True)
def text_string(
    text: Line = "",
    text_b: Annotated[Line, Optional()] = "",
    text_c: Annotated[Line, Optional()] = "",
    text_d: Annotated[Line, Optional()] = "",
) -> FourTexts:
    """Hold four lines of text."""
    return FourTexts(*(_with_time(each) for each in (text, text_b, text_c, text_d)))


@node("Text Concatenate", category=_CATEGORY, gives_way=True)
def text_concatenate(
    *,
    delimiter: str = ", ",
    clean_whitespace: Literal["true", "false"],
    text_a: MaybeText = "",
    text_b: MaybeText = "",
    text_c: MaybeText = "",
    text_d: MaybeText = "",
) -> str:
    r"""Join texts but for empty ones; the delimiter `\n` is a new line.

    With `clean_whitespace` the spaces around each are left out.
    """
    texts = [text_a, text_b, text_c, text_d]
    if clean_whitespace == "true":
        texts = [text.strip() for text in texts]
    texts = [text for text in texts if text]
    between = "\n" if delimiter == "\\n" else delimiter
    check_length(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


@node("Text to Conditioning", category=_CATEGORY, state=embedding_hashes("text"), gives_way=True)
def text_to_conditioning(clip: ClipHandle, text: LinkedText, ctx: Context) -> Conditioning:
    """Encode a linked text; see `CLIPTextEncode`."""
    return clip_text_encode(text, clip, ctx)


@node("Text to Console", category=_CATEGORY, output_node=True, gives_way=True)
def text_to_console(text: LinkedText, label: Line = "Text Output", *, ctx: Context) -> str | Ui:
    """Show a text among the run's notices, and hand it on."""
    ctx.notice(f"{label.strip() or 'Text to Console'}: {text}")
    return Ui(values={"text": [text]}, outputs=(text,))


def _content(inputs: Mapping[str, object], files: Files) -> str:
    """Return the hash of the file; another text every time if its name is linked."""
    name = inputs.get("file_path")
    if not isinstance(name, str):
        return str(time.time_ns())
    try:
        return files.identity(files.input(name))
    except NodeGraphError:  # The node reports it.
        return ""


@node("Load Text File", category=_CATEGORY, state=_content, gives_way=True)
def load_text_file(
    file_path: Line = "", dictionary_name: Line = "[filename]", *, ctx: Context
) -> TextAndLines:
    """Read a text file of the input folder, without the lines that begin with `#`.

    The second output has its lines under `dictionary_name`, or under the file's name. At most
    16 MiB of UTF-8.
    """
    path = ctx.files.input(file_path)
    if path.stat().st_size > _MOST_BYTES:
        message = f"{file_path!r} has more than 16 MiB."
        raise NodeGraphError(message, hint="Use a smaller file.", input_name="file_path")
    try:
        lines = _without_comments(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        message = f"{file_path!r} is no text in UTF-8."
        raise NodeGraphError(message, hint="Save it as UTF-8.", input_name="file_path") from error
    name = path.name.split(".")[0]
    key = name if dictionary_name == "[filename]" else dictionary_name
    return TextAndLines("\n".join(lines), {key: lines})


@node("Text Random Line", category=_CATEGORY, gives_way=True)
def text_random_line(text: LinkedText, seed: Seed = 0) -> str:
    """Choose a line of a text; the same seed chooses the same line."""
    return random.Random(seed).choice(text.split("\n"))


def _without_comments(text: str) -> list[str]:
    """Return the lines of a text that do not begin with `#`."""
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []
    return [line for line in lines if not line.strip().startswith("#")]


def _with_time(text: str) -> str:
    text = text.replace(_TIME, str(int(time.time())))
    return _FORMATTED_TIME.sub(lambda found: time.strftime(found[1]), text)
