"""Chats with language models: the text around a prompt, and the thoughts in an answer."""

from typing import NamedTuple

from nodes.models.families.base.language_records import LanguageModel

_MESSAGE = "<|im_start|>{role}\n{text}<|im_end|>\n"
_ANSWER = "<|im_start|>assistant\n"
_THOUGHTS = "<think>", "</think>"
_NO_THOUGHTS = f"{_THOUGHTS[0]}\n\n{_THOUGHTS[1]}\n\n"
_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"


class Answer(NamedTuple):
    """A text that a language model wrote."""

    text: str
    thoughts: str
    """The text that it wrote before the answer itself; empty if there is none."""


def place_pictures_before(prompt: str, pictures: int) -> str:
    """Return a prompt with the places of so many pictures before it."""
    return _PICTURE * pictures + prompt


def chat(record: LanguageModel, prompt: str, system: str = "", *, thinks: bool = False) -> str:
    """Return a prompt in the chat of a language model, up to where its answer begins.

    By the `chat_template` that each model is published with.

    Args:
        record: of the language model.
        prompt: the user's message.
        system: the first message, in place of the model's own.
        thinks: let it think before it answers, if it can.
    """
    first = system or record.system
    messages = (("system", first), ("user", prompt)) if first else (("user", prompt),)
    told = "".join(_MESSAGE.format(role=role, text=text) for role, text in messages)
    begun = f"{_THOUGHTS[0]}\n" if record.opens_thoughts else ""
    if record.thinks and not thinks:
        begun = _NO_THOUGHTS
    return f"{told}{_ANSWER}{begun}"


def split_thoughts(prompt: str, written: str) -> Answer:
    """Return the answer and the thoughts in a text that was written after a prompt.

    The text begins with thoughts if their mark is the first thing in it, or the last in the prompt.
    Without a mark at their end all of it is thoughts.
    """
    start, end = _THOUGHTS
    body = written.lstrip()
    if not body.startswith(start) and not prompt.rstrip().endswith(start):
        return Answer(written.strip(), "")
    thoughts, _, answer = body.removeprefix(start).partition(end)
    return Answer(answer.strip(), thoughts.strip())
