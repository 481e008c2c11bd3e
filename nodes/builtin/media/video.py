"""Nodes that load, make, take apart and save videos."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import InputFile, Name, Optional, Step, Widget
from nodegraph.definition.node import node
from nodegraph.graph.results import Ui
from nodes.imaging.errors import EmptyBatchError
from nodes.imaging.metadata import texts
from nodes.media.decode import decode_video, read_media
from nodes.media.encode import H264, VideoFormat, copy_video, write_video
from nodes.media.formats import VIDEO_SUFFIXES
from nodes.media.values import Audio, Video, VideoFile, VideoFrames
from nodes.values import Image

FramesASecond = Annotated[float, Field(ge=0.01, le=1000.0), Step(0.01)]

_HIDDEN = ("prompt", "extra_pnginfo")
_WEBM: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "vp9": ("libvpx-vp9", "yuv420p", {"b": "0"}),
    "av1": ("libsvtav1", "yuv420p10le", {"preset": "6"}),
}
"""Each codec of WebM: FFmpeg's encoder, its pixels, its options."""


class VideoParts(NamedTuple):
    """The outputs of `GetVideoComponents`."""

    images: Image
    audio: Annotated[Audio | None, Name("audio")]
    fps: float


@node(
    "LoadVideo",
    category="image/video",
    display_name="Load Video",
    preflight="nodes.preflight.media:check_video",
)
def load_video(
    file: Annotated[str, InputFile("video_upload", VIDEO_SUFFIXES)], ctx: Context
) -> Video:
    """Read a video of the input folder; at most 2 GiB. It is decoded where it is used."""
    return read_media(ctx.files.input(file))


@node("CreateVideo", category="image/video", display_name="Create Video")
def create_video(
    images: Image,
    fps: Annotated[float, Field(ge=1.0, le=120.0), Step(1.0)] = 30.0,
    audio: Annotated[Audio | None, Optional()] = None,
) -> Video:
    """Make a video of a batch of images, `fps` a second, and of sound if it is linked."""
    if len(images) == 0:
        raise EmptyBatchError(what="images")
    return VideoFrames(images[..., :3], fps, audio)


@node("GetVideoComponents", category="image/video", display_name="Get Video Components")
def get_video_components(video: Video, ctx: Context) -> VideoParts:
    """Take a video apart: its images, its sound if it has some, and its images a second.

    Images are turned upright, as the file says. At most 400 million pixels over all of them.
    """
    frames = decode_video(video, ctx) if isinstance(video, VideoFile) else video
    return VideoParts(frames.images, frames.audio, frames.fps)


@node(
    "SaveVideo",
    category="image/video",
    display_name="Save Video",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
    preflight="nodes.preflight.images:check_prefix",
)
def save_video(
    video: Video,
    filename_prefix: Annotated[str, Widget(multiline=False)] = "video/ComfyUI",
    format: Literal["auto", "mp4"] = "auto",
    codec: Literal["auto", "h264"] = "auto",
    *,
    ctx: Context,
) -> Ui:
    """Write a video to the output folder as MP4 (H.264, AAC) that carries its workflow.

    A loaded video that is MP4 with H.264 and AAC is copied without a loss. `filename_prefix` works
    as in `SaveImage`. Sound ends with the images.
    """
    del format, codec  # There is one of each.
    chunks = texts(ctx)
    data = copy_video(video, chunks) if isinstance(video, VideoFile) else None
    if data is None:
        frames = decode_video(video, ctx) if isinstance(video, VideoFile) else video
        data = write_video(frames, H264, chunks, ctx)
    return _save(data, filename_prefix, ".mp4", ctx)


@node(
    "SaveWEBM",
    category="image/video",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
    experimental=True,
    preflight="nodes.preflight.images:check_prefix",
)
def save_webm(
    *,
    images: Image,
    filename_prefix: Annotated[str, Widget(multiline=False)] = "ComfyUI",
    codec: Literal["vp9", "av1"],
    fps: FramesASecond = 24.0,
    crf: Annotated[float, Field(ge=0, le=63.0), Step(1)] = 32.0,
    ctx: Context,
) -> Ui:
    """Write a batch of images as a WebM video that carries its workflow.

    A higher `crf` makes smaller files of a lower quality. `av1` takes longer and makes smaller
    files than `vp9`, which keeps an alpha channel.
    """
    if len(images) == 0:
        raise EmptyBatchError(what="images")
    encoder, pixels, options = _WEBM[codec]
    if codec == "vp9" and images.shape[-1] > 3:
        pixels = "yuva420p"
    form = VideoFormat("webm", encoder, pixels, options={**options, "crf": str(round(crf))})
    data = write_video(VideoFrames(images, fps), form, texts(ctx), ctx)
    return _save(data, filename_prefix, ".webm", ctx)


def _save(data: bytes, prefix: str, suffix: str, ctx: Context) -> Ui:
    saved = ctx.files.save("output", prefix, suffix, data)
    return Ui(artifacts={"images": [saved]}, values={"animated": [True]})
