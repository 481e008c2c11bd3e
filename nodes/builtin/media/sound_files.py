"""Nodes that load, save and play sound."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from nodegraph.definition.context import Context
from nodegraph.definition.markers import InputFile
from nodegraph.definition.node import node
from nodegraph.graph.results import Artifact, FolderType, Ui
from nodes.imaging.metadata import texts
from nodes.media.decode import decode_sound, read_media
from nodes.media.encode import SoundFormat, write_sound
from nodes.media.formats import SOUND_SUFFIXES, VIDEO_SUFFIXES
from nodes.values import Audio

_HIDDEN = ("prompt", "extra_pnginfo")
_FLAC = SoundFormat("flac", "flac")
_MP3 = SoundFormat(
    "mp3",
    "libmp3lame",
    (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    most_channels=2,
)
_MP3_BITS: Mapping[str, int] = {"128k": 128_000, "320k": 320_000}
_OPUS = SoundFormat("opus", "libopus", (8000, 12000, 16000, 24000, 48000))


@node(
    "LoadAudio",
    category="audio",
    display_name="Load Audio",
    preflight="nodes.preflight.media:check_audio",
)
def load_audio(
    audio: Annotated[str, InputFile("audio_upload", (*SOUND_SUFFIXES, *VIDEO_SUFFIXES))],
    ctx: Context,
) -> Audio:
    """Read the sound of a file of the input folder, of sound or video: [1, channels, samples]."""
    return decode_sound(read_media(ctx.files.input(audio)))


@node(
    "SaveAudio",
    category="audio",
    display_name="Save Audio (FLAC)",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
    preflight="nodes.preflight.images:check_prefix",
)
def save_audio(audio: Audio, filename_prefix: str = "audio/ComfyUI", *, ctx: Context) -> Ui:
    """Write each sound of a batch to the output folder as a FLAC that carries its workflow.

    16 bits, without any further loss. `filename_prefix` works as in `SaveImage`.
    """
    return _save(audio, _FLAC, "output", filename_prefix, ctx)


@node(
    "SaveAudioMP3",
    category="audio",
    display_name="Save Audio (MP3)",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
    preflight="nodes.preflight.images:check_prefix",
)
def save_audio_mp3(
    audio: Audio,
    filename_prefix: str = "audio/ComfyUI",
    quality: Literal["V0", "128k", "320k"] = "V0",
    *,
    ctx: Context,
) -> Ui:
    """Write each sound of a batch to the output folder as an MP3.

    `V0` is the best quality with varying bits a second. More than two channels are mixed to one.
    """
    form = replace(_MP3, bits=_MP3_BITS.get(quality, 0), is_best=quality == "V0")
    return _save(audio, form, "output", filename_prefix, ctx)


@node(
    "SaveAudioOpus",
    category="audio",
    display_name="Save Audio (Opus)",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
    preflight="nodes.preflight.images:check_prefix",
)
def save_audio_opus(
    audio: Audio,
    filename_prefix: str = "audio/ComfyUI",
    quality: Literal["64k", "96k", "128k", "192k", "320k"] = "128k",
    *,
    ctx: Context,
) -> Ui:
    """Write each sound of a batch to the output folder as an Opus file.

    `quality` is its bits a second. Opus has sample rates up to 48000: others become the next one.
    """
    form = replace(_OPUS, bits=int(quality.removesuffix("k")) * 1000)
    return _save(audio, form, "output", filename_prefix, ctx)


@node(
    "PreviewAudio",
    category="audio",
    display_name="Preview Audio",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
)
def preview_audio(audio: Audio, ctx: Context) -> Ui:
    """Play sounds without keeping them: they go to the temp folder as FLAC."""
    return _save(audio, _FLAC, "temp", "ComfyUI_temp", ctx)


def _save(audio: Audio, form: SoundFormat, folder: FolderType, prefix: str, ctx: Context) -> Ui:
    chunks = texts(ctx)
    saved: list[Artifact] = []
    for waveform in audio.waveform:
        data = write_sound(replace(audio, waveform=waveform[None]), form, chunks, ctx)
        saved.append(ctx.files.save(folder, prefix, f".{form.container}", data))
    return Ui(artifacts={"audio": saved})
