"""Reads files of video and sound."""

import io
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodes.media.errors import MediaFileError, MediaSizeError
from nodes.media.formats import HEAD, check_media, format_of
from nodes.media.pyav import load_pyav, reading
from nodes.media.values import Audio, VideoFile, VideoFrames

MOST_PIXELS = 400_000_000
"""The most pixels of a video, over all frames that are read: as images they take 12 bytes each."""
MOST_FRAME_PIXELS = 89_000_000
"""The most pixels of one frame, as of an image."""
MOST_SAMPLES = 500_000_000
"""The most samples of sound, over all channels: they take 4 bytes each."""
Picture = NDArray[np.uint8]


class Watch(Protocol):
    """Hears how reading or writing goes on; a node's `Context` is one."""

    def progress(self, value: int, total: int) -> None:
        """Note that `value` of `total` frames are done."""
        ...

    def notice(self, message: str) -> None:
        """Note something that is not an error."""
        ...

    def check_cancelled(self) -> None:
        """Raise an error if the work is no longer wanted."""
        ...


class Facts(NamedTuple):
    """Facts of a video that its file tells without being decoded."""

    width: int
    height: int
    fps: float
    frames: int
    """The number of frames, as far as it is known; else 0."""
    seconds: float


def read_media(path: Path) -> VideoFile:
    """Read a file of video or sound, whole and not decoded.

    Raises:
        MediaFileError: it begins as none does.
        MediaSizeError: it is too large.
    """
    check_media(path)
    return VideoFile(torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8), path.name)


def facts_of(file: VideoFile) -> Facts:
    """Return the size, rate and length of a video.

    Raises:
        MediaFileError: it is no video.
    """
    with open_media(file) as container:
        stream = _pictures_of(container, file.name)
        seconds = float((container.duration or 0) / 1_000_000)
        frames = stream.frames or round(seconds * _rate(stream))
        return Facts(stream.width, stream.height, _rate(stream), frames, seconds)


def decode_video(file: VideoFile, watch: Watch) -> VideoFrames:
    """Decode a whole video: its pictures, turned upright, and its sound.

    Of a damaged file what can be read of it is used, and a notice says so.

    Raises:
        MediaFileError: it is no video, or nothing of it can be read.
        MediaSizeError: it has more than `MOST_PIXELS`, or `MOST_SAMPLES`.
    """
    facts = facts_of(file)
    images = stack_pictures(each_picture(file, watch), file.name)
    with open_media(file) as container:
        audio = _sound_of(container, file.name) if container.streams.audio else None
    return VideoFrames(images, facts.fps, audio)


def each_picture(file: VideoFile, watch: Watch) -> Generator[Picture]:
    """Yield the pictures of a video in their order: [height, width, 3], turned upright."""
    av = load_pyav()
    expected = facts_of(file).frames
    done = 0
    with open_media(file) as container:
        stream = _pictures_of(container, file.name)
        if stream.width * stream.height > MOST_FRAME_PIXELS:
            message = f"{file.name!r} has frames of {stream.width}x{stream.height} pixels"
            hint = f"At most {MOST_FRAME_PIXELS // 1_000_000} million pixels are possible."
            raise MediaSizeError(message, hint)
        stream.codec_context.options = {"max_pixels": str(MOST_FRAME_PIXELS)}
        stream.thread_type = "AUTO"
        try:
            for frame in container.decode(stream):
                watch.check_cancelled()
                pixels = frame.to_ndarray(format="rgb24")
                yield np.rot90(pixels, round(frame.rotation / 90)) if frame.rotation else pixels
                done += 1
                watch.progress(min(done, expected or done), expected or done)
        except av.error.FFmpegError:
            if not done:
                raise
            watch.notice(f"{file.name!r} is damaged after {done} frames. Those are used.")


def stack_pictures(pictures: Iterator[Picture], name: str) -> Tensor:
    """Return pictures as images: [frames, height, width, 3] float32 in [0, 1].

    Pictures of another size than the first are left out.

    Raises:
        MediaFileError: there are none.
        MediaSizeError: they have more than `MOST_PIXELS`.
    """
    kept: list[Picture] = []
    pixels = 0
    for picture in pictures:
        pixels += picture.shape[0] * picture.shape[1]
        if pixels > MOST_PIXELS:
            message = f"{name!r} has more than {MOST_PIXELS // 1_000_000} million pixels"
            raise MediaSizeError(message, "Use fewer or smaller frames of it.")
        if not kept or picture.shape == kept[0].shape:
            kept.append(picture)
    if not kept:
        raise MediaFileError(name, "it ends before the first frame", code="no_pictures")
    images = torch.empty(len(kept), *kept[0].shape)
    for image, picture in zip(images, kept, strict=True):
        image.copy_(torch.as_tensor(np.ascontiguousarray(picture)))
    return images.div_(255)


def has_sound(file: VideoFile) -> bool:
    """Say if a file has sound."""
    with open_media(file) as container:
        return bool(container.streams.audio)


def decode_sound(file: VideoFile) -> Audio:
    """Decode the sound of a file: [1, channels, samples].

    Raises:
        MediaFileError: it has none, or it can not be read.
        MediaSizeError: it has more than `MOST_SAMPLES`.
    """
    with open_media(file) as container:
        if not container.streams.audio:
            raise MediaFileError(file.name, code="no_sound")
        return _sound_of(container, file.name)


@contextmanager
def open_media(file: VideoFile) -> Generator[Any]:
    """Open a file as the format that it begins as; gives PyAV's `InputContainer`.

    Raises:
        MediaFileError: it is no video or sound, or what happens inside shows that it is damaged.
    """
    data = file.content()
    kind = format_of(data[:HEAD])
    if kind is None:
        reason = "it begins as none does" if data else "the file is empty"
        raise MediaFileError(file.name, reason, code="not_media")
    av = load_pyav()
    with (
        reading(file.name),
        closing(av.open(io.BytesIO(data), format=kind, metadata_errors="replace")) as container,
    ):
        yield container


def _pictures_of(container: Any, name: str) -> Any:
    """Return the first video that is no cover picture of a song."""
    for stream in container.streams.video:
        if not stream.disposition & load_pyav().stream.Disposition.attached_pic:
            return stream
    raise MediaFileError(name, code="no_pictures")


def _rate(stream: Any) -> float:
    """Return the frames a second; 1 for a single picture without a time."""
    rate = stream.average_rate or stream.base_rate or stream.guessed_rate
    return float(rate) if rate and rate > 0 else 1.0


def _sound_of(container: Any, name: str) -> Audio:
    av = load_pyav()
    stream = container.streams.audio[0]
    resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
    parts: list[Tensor] = []
    samples = 0
    container.seek(0)
    for frame in container.decode(stream):
        for part in resampler.resample(frame):
            samples += part.samples * len(part.layout.channels)
            if samples > MOST_SAMPLES:
                message = f"the sound of {name!r} has more than {MOST_SAMPLES} samples"
                raise MediaSizeError(message, "Cut it first.")
            parts.append(torch.as_tensor(part.to_ndarray()))
    if not parts:
        raise MediaFileError(name, code="no_sound")
    return Audio(torch.cat(parts, dim=-1)[None], stream.rate)
