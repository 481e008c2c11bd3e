"""Node types of VideoHelperSuite: a video as images, and images as a video or an animation."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, NamedTuple, TypeAlias

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Choices, InputFile, Name, Optional, Step
from nodegraph.definition.node import node
from nodegraph.errors import NodeGraphError
from nodegraph.graph.results import Ui
from nodegraph.graph.sockets import Socket
from nodes.builtin.latent.vae import vae_decode
from nodes.imaging.codec import encode_gif, encode_webp
from nodes.imaging.errors import EmptyBatchError
from nodes.imaging.metadata import texts
from nodes.imaging.resize import resize_images
from nodes.media.decode import (
    Facts,
    Picture,
    decode_sound,
    each_picture,
    facts_of,
    has_sound,
    read_media,
    stack_pictures,
)
from nodes.media.encode import VideoFormat, write_video
from nodes.media.formats import VIDEO_SUFFIXES
from nodes.media.values import VideoFile, VideoFrames
from nodes.models.loading.handles import VaeHandle
from nodes.values import Audio, Image, Latent

ImagesOrLatents: TypeAlias = Annotated[Tensor | Latent, Socket("IMAGE,LATENT")]
VideoInfo: TypeAlias = Annotated[dict[str, float], Socket("VHS_VIDEOINFO")]
Filenames: TypeAlias = Annotated[tuple[bool, list[str]], Socket("VHS_FILENAMES")]
Pixels = Annotated[int, Field(ge=0, le=8192), Step(8)]
Count = Annotated[int, Field(ge=0, le=10_000_000)]

_CATEGORY = "popular/VideoHelperSuite"
_HIDDEN = ("prompt", "extra_pnginfo")
_GIF, _WEBP = "image/gif", "image/webp"
_H264 = VideoFormat("mp4", "libx264", "yuv420p")
_VIDEOS: Mapping[str, VideoFormat] = {
    "video/h264-mp4": _H264,
    "video/h265-mp4": _H264,
    "video/nvenc_h264-mp4": _H264,
    "video/nvenc_hevc-mp4": _H264,
    "video/webm": VideoFormat("webm", "libvpx-vp9", "yuv420p", "libopus", {"b": "0"}),
    "video/av1-webm": VideoFormat("webm", "libsvtav1", "yuv420p", "libopus"),
}
_AS_H264 = ("video/h265-mp4", "video/nvenc_hevc-mp4")
"""Formats that are written as H.264: PyAV's encoder of H.265 destroys memory on small frames."""
_CUSTOM = "Custom"
_SIZES = (
    _CUSTOM,
    "Disabled",
    "Custom Width",
    "Custom Height",
    "256x?",
    "?x256",
    "256x256",
    "512x?",
    "?x512",
    "512x512",
)
"""The sizes of older files, after the one of newer ones."""
_STEP = 8
"""A side that follows from the other is rounded to this many pixels."""


class LoadedVideo(NamedTuple):
    """The outputs of `VHS_LoadVideo`."""

    IMAGE: Image
    frame_count: int
    audio: Annotated[Audio | None, Name("audio")]
    video_info: VideoInfo


class SavedVideo(NamedTuple):
    """The output of `VHS_VideoCombine`."""

    filenames: Annotated[Filenames, Name("Filenames")]


@node(
    "VHS_LoadVideo",
    category=_CATEGORY,
    display_name="Load Video (Upload)",
    preflight="nodes.preflight.media:check_video",
    gives_way=True,
)
def vhs_load_video(
    *,
    video: Annotated[str, InputFile("video_upload", VIDEO_SUFFIXES)],
    force_rate: Annotated[float, Field(ge=0, le=60), Step(1)] = 0.0,
    custom_width: Pixels = 0,
    custom_height: Pixels = 0,
    frame_load_cap: Count = 0,
    skip_first_frames: Count = 0,
    select_every_nth: Annotated[int, Field(ge=1, le=10_000_000)] = 1,
    force_size: Annotated[str, Choices(_SIZES), Optional()] = _CUSTOM,
    ctx: Context,
) -> LoadedVideo:
    """Read images and sound of a video of the input folder.

    `force_rate` drops or repeats images for another number a second; then the first
    `skip_first_frames` are left out, every nth is taken, and at most `frame_load_cap` (0: all). A
    width or height alone keeps the aspect ratio; both crop the centre. `force_size` is of older
    files, where it says what the size follows from.
    """
    file = read_media(ctx.files.input(video))
    facts = facts_of(file)
    rate = force_rate or facts.fps
    end = _end(skip_first_frames, frame_load_cap, select_every_nth)
    chosen = _choose(
        _at_rate(each_picture(file, ctx), facts.fps, rate),
        range(skip_first_frames, end, select_every_nth),
    )
    size = _size(force_size, custom_width, custom_height)
    images = _fit_size(stack_pictures(chosen, file.name), *size)
    audio = _cut_sound(file, skip_first_frames / rate, len(images) * select_every_nth / rate)
    return LoadedVideo(images, len(images), audio, _info(facts, images, rate / select_every_nth))


@node(
    "VHS_VideoCombine",
    category=_CATEGORY,
    display_name="Video Combine",
    output_node=True,
    hidden=_HIDDEN,
    preflight="nodes.preflight.images:check_prefix",
    gives_way=True,
)
def vhs_video_combine(
    *,
    images: ImagesOrLatents,
    frame_rate: Annotated[float, Field(ge=0.01, le=1000), Step(1)] = 8.0,
    loop_count: Annotated[int, Field(ge=0, le=100), Step(1)] = 0,
    filename_prefix: str = "AnimateDiff",
    format: Annotated[str, Choices((_GIF, _WEBP, *_VIDEOS))],
    pingpong: bool = False,
    save_output: bool = True,
    audio: Annotated[Audio | None, Optional()] = None,
    vae: Annotated[VaeHandle | None, Optional()] = None,
    pix_fmt: Annotated[str, Choices(("yuv420p", "yuv420p10le")), Optional()] = "yuv420p",
    crf: Annotated[int, Field(ge=0, le=63), Optional()] = 19,
    save_metadata: Annotated[bool, Optional()] = True,
    trim_to_audio: Annotated[bool, Optional()] = False,
    ctx: Context,
) -> SavedVideo | Ui:
    """Write images as a video or an animation; latents, too, if the VAE is linked.

    `pingpong` lets them run backwards, too. `loop_count` repeats a video, and says how often an
    animation is played (0: for ever). A lower `crf` is a better quality and a larger file. Sound,
    which animations have not, ends with the images, or with `trim_to_audio` the images with it.
    H.265 is written as H.264.
    """
    frames = _frames(images, vae, ctx)
    if pingpong:
        frames = torch.cat([frames, frames[1:-1].flip(0)])
    chunks = texts(ctx) if save_metadata else {}
    if format == _GIF:
        data, suffix = encode_gif(frames, 1000 / frame_rate, loop_count), ".gif"
    elif format == _WEBP:
        data = encode_webp(frames, chunks, 1000 / frame_rate, lossless=False, quality=80, method=4)
        suffix = ".webp"
    else:
        form = _VIDEOS[format]
        if format in _AS_H264:
            ctx.notice(f"{format} is written as H.264.")
        if trim_to_audio and audio:
            frames = frames[: max(1, round(audio.seconds * frame_rate))]
        video = VideoFrames(frames.repeat(loop_count + 1, 1, 1, 1), frame_rate, audio)
        form = replace(form, pixels=pix_fmt, options={**form.options, "crf": str(crf)})
        data, suffix = write_video(video, form, chunks, ctx), f".{form.container}"
    saved = ctx.files.save("output" if save_output else "temp", filename_prefix, suffix, data)
    shown = saved.as_dict() | {"format": format, "frame_rate": frame_rate}
    return Ui(
        artifacts={"images": [saved]},
        values={"animated": [True], "gifs": [shown]},
        outputs=((save_output, [str(ctx.files.path(saved))]),),
    )


def _frames(images: Tensor | Latent, vae: VaeHandle | None, ctx: Context) -> Tensor:
    """Return images, decoded if they are latents."""
    if isinstance(images, Latent):
        if vae is None:
            message = "the images are latents, and there is no VAE."
            hint = "Decode them first (VAEDecode), or link a VAE."
            raise NodeGraphError(message, hint=hint, input_name="vae")
        images = vae_decode(images, vae, ctx)
    if len(images) == 0:
        raise EmptyBatchError(what="images")
    return images


def _at_rate(pictures: Iterator[Picture], fps: float, rate: float) -> Iterator[Picture]:
    """Drop or repeat pictures, so that there are `rate` a second instead of `fps`."""
    made = 0
    for number, picture in enumerate(pictures):
        while made * fps < (number + 1) * rate:
            yield picture
            made += 1


def _end(skipped: int, most: int, every: int) -> int:
    """Return the number of the first picture that is not needed any more."""
    return skipped + most * every if most else np.iinfo(np.int64).max


def _choose(pictures: Iterator[Picture], numbers: range) -> Iterator[Picture]:
    """Yield the pictures with some numbers; reads no further than the last one."""
    for number, picture in enumerate(pictures):
        if number >= numbers.stop:
            return
        if number in numbers:
            yield picture


def _size(force_size: str, width: int, height: int) -> tuple[int, int]:
    """Return the width and height that are asked for; 0 for one that follows from the other."""
    named = {
        _CUSTOM: (width, height),
        "Disabled": (0, 0),
        "Custom Width": (width, 0),
        "Custom Height": (0, height),
    }
    if force_size in named:
        return named[force_size]
    wide, high = force_size.replace("?", "0").split("x")
    return int(wide), int(high)


def _fit_size(images: Tensor, width: int, height: int) -> Tensor:
    if not width and not height:
        return images
    own_height, own_width = images.shape[1:3]
    wide = width or max(_STEP, round(own_width * height / own_height / _STEP) * _STEP)
    high = height or max(_STEP, round(own_height * width / own_width / _STEP) * _STEP)
    return resize_images(images, wide, high, "lanczos", "center")


def _cut_sound(file: VideoFile, start: float, seconds: float) -> Audio | None:
    """Return the sound of a part of a video; None if it has none there."""
    if not has_sound(file):
        return None
    audio = decode_sound(file)
    first, last = (round(time * audio.sample_rate) for time in (start, start + seconds))
    waveform = audio.waveform[..., first:last].contiguous()
    return replace(audio, waveform=waveform) if waveform.numel() else None


def _info(facts: Facts, images: Tensor, rate: float) -> dict[str, float]:
    """Return what VideoHelperSuite tells of a video, of its file and as it was loaded."""
    count, height, width = images.shape[:3]
    return {
        "source_fps": facts.fps,
        "source_frame_count": facts.frames,
        "source_duration": facts.seconds,
        "source_width": facts.width,
        "source_height": facts.height,
        "loaded_fps": rate,
        "loaded_frame_count": count,
        "loaded_duration": count / rate,
        "loaded_width": width,
        "loaded_height": height,
    }
