"""The node that lets a language model write a text."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, NamedTuple, TypeAlias

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import DynamicCombo, Optional, Step, Widget
from nodegraph.definition.node import node
from nodes.builtin.inputs import Prompt
from nodes.builtin.text.errors import UnreadMediumError
from nodes.inference.text_generation import Writer, picture_rows, write_text
from nodes.models.families.base.language_models import language_model_of
from nodes.models.loading.errors import MuteEncoderError
from nodes.models.loading.handles import ClipHandle
from nodes.models.text.chat import chat, place_pictures_before, split_thoughts
from nodes.models.text.textual_inversion import Embeddings
from nodes.models.text.word_choice import Chances, Drawn, Likeliest, WordChoice
from nodes.values import Audio, Image

Share: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0), Step(0.01)]
Penalty: TypeAlias = Annotated[float, Field(ge=0.0, le=5.0), Step(0.01)]
Depth: TypeAlias = Literal[
    "auto", "off", "2", "3", "4", "5", "tree2s1", "tree2s2", "tree3s1", "tree4s1m8"
]


@dataclass(frozen=True, slots=True)
class Sampled:
    """Words are drawn by their chances."""

    temperature: Annotated[float, Field(ge=0.01, le=2.0), Step(0.01)] = 0.7
    top_k: Annotated[int, Field(ge=0, le=1000)] = 64
    top_p: Share = 0.95
    min_p: Share = 0.05
    repetition_penalty: Penalty = 1.05
    seed: Annotated[int, Field(ge=0, le=2**64 - 1), Widget(control_after_generate=False)] = 0
    presence_penalty: Annotated[Penalty, Optional()] = 0.0

    def choice(self) -> WordChoice:
        """Return what chooses the words."""
        chances = Chances(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
        )
        return Drawn(chances, self.seed)


@dataclass(frozen=True, slots=True)
class Likely:
    """Every word is the likeliest one."""

    def choice(self) -> WordChoice:
        """Return what chooses the words."""
        return Likeliest()


class Written(NamedTuple):
    """The text that was written."""

    generated_text: str
    thinking: str


@node("TextGenerate", category="textgen", display_name="Generate Text")
def text_generate(
    clip: ClipHandle,
    prompt: Prompt = "",
    max_length: Annotated[int, Field(ge=1, le=32768)] = 512,
    sampling_mode: Annotated[
        Sampled | Likely, DynamicCombo({"on": Sampled, "off": Likely})
    ] = Sampled(),
    image: Image | None = None,
    video: Image | None = None,
    *,
    audio: Audio | None = None,
    thinking: Annotated[bool, Optional()] = False,
    use_default_template: Annotated[bool, Optional(), Widget(advanced=True)] = True,
    mtp: Annotated[Depth, Optional(), Widget(advanced=True)] = "auto",
    system_prompt: Annotated[str, Optional(), Widget(forceInput=True)] = "",
    ctx: Context,
) -> Written:
    """Let the language model of a CLIP write a text: rewrite a prompt, or describe images.

    Qwen3, Qwen2.5-VL, Qwen3-VL and Qwen3.5 write; the last three see images if their file has the
    vision encoder. `max_length` is in tokens. With `sampling_mode` off, every word is the likeliest
    one; on, the same seed gives the same text. The prompt is put into the model's chat, with
    `system_prompt` as its first message, unless `use_default_template` is off. `thinking` lets
    Qwen3 and Qwen3.5 think first; the thoughts are an output of their own. `mtp` changes nothing:
    no model here predicts several words at once. Videos and sounds are not read.
    """
    del mtp
    for medium, value in (("video", video), ("audio", audio)):
        if value is not None:
            raise UnreadMediumError(medium)
    writer = _writer(clip)
    pictures = picture_rows(image)
    text = prompt
    if use_default_template:
        asked = place_pictures_before(prompt, len(pictures))
        text = chat(writer.record, asked, system_prompt, thinks=thinking)
    rules = replace(writer.encoder.rules, template="{}", reads_weights=False, min_length=0)
    reader = replace(writer.encoder, rules=rules)
    (tokens,) = reader.chunks(text, Embeddings(ctx.files, ctx.notice), pictures)
    written = write_text(writer, tokens, sampling_mode.choice(), max_length, ctx)
    answer, thoughts = split_thoughts(text, written)
    return Written(answer, thoughts)


def _writer(clip: ClipHandle) -> Writer:
    """Return the first language model among the text encoders.

    Raises:
        MuteEncoderError: there is none.
    """
    for encoder in clip.text.encoders:
        record = language_model_of(encoder.name)
        if record and record.ends:
            return Writer(encoder, record, clip.by_encoder.get(encoder.name, ()))
    raise MuteEncoderError(clip.text.origin, [each.name for each in clip.text.encoders])
