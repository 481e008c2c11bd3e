"""The text `parameters` that AUTOMATIC1111's web UI and its kin put into images ("infotext").

It has the prompt, then `Negative prompt: …`, then one line of settings: `Steps: 20, Sampler: …`.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

KEYWORD: Final = "parameters"
"""The keyword of the text in a file."""
_NEGATIVE: Final = "Negative prompt:"
_SETTINGS = re.compile(r"^Steps: *\d", re.MULTILINE)
_NETWORK = re.compile(r"<(lora|lyco|hypernet):([^:<>]+)(?::([^<>]*))?>")
_KEY = re.compile(r"[^:,\n]+: *")
_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"|[^,\n]*')
_MOST_SETTINGS: Final = 500
_NEXT = re.compile(r"[,\n]\s*")


@dataclass(frozen=True, slots=True)
class LoraUse:
    """A LoRA that a prompt names: `<lora:name:0.8>`."""

    name: str
    model_strength: float
    clip_strength: float
    is_in_negative: bool = False


@dataclass(frozen=True, slots=True)
class Infotext:
    """The parts of such a text."""

    prompt: str
    negative: str
    loras: tuple[LoraUse, ...]
    """The LoRAs of both prompts, which have them no more."""
    unread: tuple[str, ...]
    """Other parts of the prompts that were taken out."""
    settings: Mapping[str, str]


def read_infotext(text: str) -> Infotext | None:
    """Read such a text; None if it is none, for it has no line that begins with the steps."""
    text = text.replace("\r\n", "\n")
    begins = [found.start() for found in _SETTINGS.finditer(text)]
    if not begins:
        return None
    prompts, settings = text[: begins[-1]], text[begins[-1] :]
    prompt, _, negative = f"\n{prompts}".partition(f"\n{_NEGATIVE}")
    loras: list[LoraUse] = []
    unread: list[str] = []
    plain = _without_networks(prompt.strip(), loras, unread)
    both = len(loras)
    plain_negative = _without_networks(negative.strip(), loras, unread)
    loras[both:] = [replace(use, is_in_negative=True) for use in loras[both:]]
    values = dict(islice(_settings(settings), _MOST_SETTINGS))
    return Infotext(plain, plain_negative, tuple(loras), tuple(unread), values)


def _without_networks(prompt: str, loras: list[LoraUse], unread: list[str]) -> str:
    """Take the LoRAs and hypernetworks out of a prompt, into the two lists."""

    def take(found: re.Match[str]) -> str:
        kind, name, strengths = found.groups()
        use = None if kind == "hypernet" else _lora(name.strip(), strengths or "1")
        if use is None:
            unread.append(found[0])
        else:
            loras.append(use)
        return ""

    return _NETWORK.sub(take, prompt)


def _lora(name: str, strengths: str) -> LoraUse | None:
    """Read `0.8`, or `0.5:0.3` with the text encoder's first; None if it is neither."""
    try:
        clip, *model = [float(part) for part in strengths.split(":")]
    except ValueError:
        return None
    if not all(map(math.isfinite, (clip, *model))):
        return None
    return LoraUse(name, model[0] if model else clip, clip)


def _settings(line: str) -> Iterator[tuple[str, str]]:
    """Yield the settings by name; a value is a word, a quoted text, or JSON."""
    at = 0
    while at < len(line):
        key = _KEY.match(line, at)
        if key:
            value, at = _value(line, key.end())
            yield key[0].rstrip(" :"), value
        following = _NEXT.search(line, at)
        at = following.end() if following else len(line)


def _value(line: str, at: int) -> tuple[str, int]:
    """Return the value that begins at a place, and where it ends."""
    if line[at : at + 1] in ("[", "{"):
        try:
            _, end = json.JSONDecoder().raw_decode(line, at)
        except (ValueError, RecursionError):
            pass
        else:
            return line[at:end], end
    found = _VALUE.match(line, at)
    text = found[0] if found else ""
    return _unquote(text.strip()), at + len(text)


def _unquote(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text.strip('"')
