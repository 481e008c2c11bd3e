"""Writes files of video and sound."""

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodes.imaging.batch import with_channels
from nodes.imaging.codec import to_bytes
from nodes.media.decode import Watch, open_media
from nodes.media.errors import EncodingError
from nodes.media.pyav import load_pyav, writing
from nodes.media.values import Audio, VideoFile, VideoFrames

_LAYOUTS: Mapping[int, str] = {1: "mono", 2: "stereo", 4: "quad", 6: "5.1", 8: "7.1"}
_TAGS: Mapping[str, str] = {"movflags": "use_metadata_tags"}
"""MP4 keeps texts of any name only if it is told to."""
_CHUNK = 1 << 16
"""Samples that are handed to an encoder at once."""
_ERRORS_ALONE = "1"
_FINEST = 1001
"""The denominator of television's rates, such as 30000/1001 frames a second."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """A file format for video, and how it is compressed."""

    container: str
    codec: str
    pixels: str
    """FFmpeg's pixel format."""
    sound: str = "aac"
    options: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """A file format for sound, and how it is compressed."""

    container: str
    codec: str
    rates: tuple[int, ...] = ()
    """The sample rates that it has; any if it is empty."""
    bits: int = 0
    """Bits a second; 0 if the codec has none to choose."""
    is_best: bool = False
    """True for the best quality of codecs that vary the bits a second."""
    most_channels: int = 8


H264 = VideoFormat("mp4", "libx264", "yuv420p")


def write_video(
    video: VideoFrames, form: VideoFormat, texts: Mapping[str, str], watch: Watch
) -> bytes:
    """Encode a video as a file that carries texts; its sound ends with its pictures.

    Sides that are odd get their last row or column twice, where the format needs even ones.

    Raises:
        EncodingError: the format can not hold it.
    """
    av = load_pyav()
    os.environ.setdefault("SVT_LOG", _ERRORS_ALONE)  # AV1's encoder prints what it does.
    options = dict(_TAGS) if form.container == "mp4" else {}
    count, height, width = video.images.shape[:3]
    size = f"a video of {count} frames, {width}x{height}, at {video.fps:g} frames a second"
    buffer = io.BytesIO()
    with (
        writing(size),
        closing(av.open(buffer, "w", format=form.container, options=options)) as container,
    ):
        container.metadata.update(texts)
        rate = Fraction(video.fps).limit_denominator(_FINEST)
        stream = container.add_stream(form.codec, rate=rate, options=dict(form.options))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = form.pixels
        sound = _sound_stream(container, video.audio, form.sound) if video.audio else None
        for number, image in enumerate(video.images):
            watch.check_cancelled()
            frame = av.VideoFrame.from_ndarray(*_pixels(image, form.pixels))
            container.mux(stream.encode(frame))
            watch.progress(number + 1, count)
        container.mux(stream.encode(None))
        if video.audio and sound:
            end = round(count / video.fps * video.audio.sample_rate)
            _write_sound(container, sound, video.audio.waveform[0, :, :end], video.audio, watch)
    return buffer.getvalue()


def copy_video(file: VideoFile, texts: Mapping[str, str]) -> bytes | None:
    """Return an MP4 file with the same compressed video and sound, and with texts.

    None if the file is no MP4 or QuickTime file of H.264 and AAC.

    Raises:
        MediaFileError: it is damaged.
    """
    av = load_pyav()
    buffer = io.BytesIO()
    with open_media(file) as source:
        streams = [*source.streams.video[:1], *source.streams.audio[:1]]
        codecs = [stream.codec_context.name for stream in streams]
        if source.format.name != "mov" or codecs not in (["h264"], ["h264", "aac"]):
            return None
        with closing(av.open(buffer, "w", format="mp4", options=dict(_TAGS))) as container:
            container.metadata.update(texts)
            copies = {each.index: container.add_stream_from_template(each) for each in streams}
            for packet in source.demux(streams):
                if packet.dts is not None:
                    packet.stream = copies[packet.stream.index]
                    container.mux(packet)
    return buffer.getvalue()


def write_sound(audio: Audio, form: SoundFormat, texts: Mapping[str, str], watch: Watch) -> bytes:
    """Encode the first sound of a batch as a file that carries texts.

    Raises:
        EncodingError: the format can not hold it.
    """
    av = load_pyav()
    buffer = io.BytesIO()
    what = f"sound of {audio.waveform.shape[1]} channels at {audio.sample_rate} samples a second"
    if not audio.waveform.numel():
        raise EncodingError(what, reason="it is empty")
    with writing(what), closing(av.open(buffer, "w", format=form.container)) as container:
        container.metadata.update(texts)
        rate = _nearest(form.rates, audio.sample_rate)
        waveform = audio.waveform[0]
        if len(waveform) > form.most_channels:
            waveform = waveform.mean(dim=0, keepdim=True)
        stream = container.add_stream(form.codec, rate=rate, layout=_layout(len(waveform)))
        if form.is_best:
            stream.codec_context.qscale = True
            stream.codec_context.global_quality = 0
        if form.bits:
            stream.bit_rate = form.bits
        _write_sound(container, stream, waveform, audio, watch)
    return buffer.getvalue()


def _sound_stream(container: Any, audio: Audio, codec: str) -> Any:
    av = load_pyav()
    rates = tuple(av.Codec(codec, "w").audio_rates or ())
    layout = _layout(audio.waveform.shape[1])
    return container.add_stream(codec, rate=_nearest(rates, audio.sample_rate), layout=layout)


def _layout(channels: int) -> str:
    layout = _LAYOUTS.get(channels)
    if layout is None:
        what = f"sound of {channels} channels"
        raise EncodingError(what, "1, 2, 4, 6 or 8 are possible")
    return layout


def _nearest(rates: tuple[int, ...], wanted: int) -> int:
    """Return the lowest rate that loses nothing, or the highest there is."""
    enough = [rate for rate in rates if rate >= wanted]
    return min(enough) if enough else max(rates, default=wanted)


def _write_sound(
    container: Any,
    stream: Any,
    waveform: Tensor,
    audio: Audio,
    watch: Watch,
) -> None:
    av = load_pyav()
    if not stream.codec_context.is_open:
        stream.codec_context.open()
    resampler = av.AudioResampler(
        format=stream.format.name,
        layout=stream.layout,
        rate=stream.rate,
        frame_size=stream.codec_context.frame_size or None,
    )
    for frame in (*_sound_frames(waveform, audio.sample_rate), None):
        watch.check_cancelled()
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
    container.mux(stream.encode(None))


def _sound_frames(waveform: Tensor, rate: int) -> Iterator[Any]:
    av = load_pyav()
    for start in range(0, waveform.shape[-1], _CHUNK):
        part = waveform[:, start : start + _CHUNK].detach().float().cpu().nan_to_num()
        samples: NDArray[np.float32] = part.clamp(-1, 1).contiguous().numpy()
        frame = av.AudioFrame.from_ndarray(samples, "fltp", _layout(len(samples)))
        frame.sample_rate, frame.pts = rate, start
        frame.time_base = Fraction(1, rate)
        yield frame


def _pixels(image: Tensor, pixels: str) -> tuple[NDArray[np.uint8], str]:
    """Return an image with even sides as FFmpeg takes it, and the name of that format."""
    has_alpha = pixels.startswith("yuva")
    image = with_channels(image, 4 if has_alpha else 3)
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        rows = torch.arange(height + height % 2).clamp(max=height - 1)
        columns = torch.arange(width + width % 2).clamp(max=width - 1)
        image = image[rows.to(image.device)][:, columns.to(image.device)]
    return np.ascontiguousarray(to_bytes(image)), "rgba" if has_alpha else "rgb24"
