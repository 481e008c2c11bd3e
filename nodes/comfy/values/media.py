"""Conversion of sound and video from and to ComfyUI's form: a dict, and an object with methods."""

import io
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, TypeGuard, cast

import torch
from torch import Tensor

from nodes.comfy.values import runtime
from nodes.media.decode import Watch, decode_video, facts_of
from nodes.media.encode import H264, copy_video, write_video
from nodes.media.values import Audio, VideoFile, VideoFrames

_FINEST = 1001


def audio_to(audio: Audio) -> dict[str, Any]:
    """Convert a sound to ComfyUI's dict; its tensor is a copy on the CPU."""
    return {"waveform": audio.waveform.detach().cpu().clone(), "sample_rate": audio.sample_rate}


def is_audio(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Return True for a mapping of waveform and sample_rate."""
    if not isinstance(value, Mapping):
        return False
    given = cast("Mapping[object, object]", value)
    return "sample_rate" in given and isinstance(given.get("waveform"), Tensor)


def audio_from(values: Mapping[str, Any]) -> Audio:
    """Convert ComfyUI's dict to a sound; a waveform gets three dimensions."""
    waveform: Tensor = values["waveform"]
    if waveform.ndim < 3:
        waveform = waveform.reshape(1, -1, waveform.shape[-1])
    return Audio(waveform.detach().cpu().float(), int(values["sample_rate"]))


class PackVideo:
    """A video as packs know it: `VideoInput` of `comfy_api`."""

    def __init__(self, video: VideoFile | VideoFrames) -> None:
        self.video = video

    def get_components(self) -> SimpleNamespace:
        """Return images, audio (None if there is none) and frame_rate, a fraction."""
        frames = self._frames()
        return SimpleNamespace(
            images=frames.images.cpu().clone(),
            audio=audio_to(frames.audio) if frames.audio else None,
            frame_rate=Fraction(frames.fps).limit_denominator(_FINEST),
            metadata=None,
        )

    def get_dimensions(self) -> tuple[int, int]:
        """Return the width and height."""
        if isinstance(self.video, VideoFile):
            facts = facts_of(self.video)
            return facts.width, facts.height
        return self.video.images.shape[2], self.video.images.shape[1]

    def get_duration(self) -> float:
        """Return the length in seconds."""
        if isinstance(self.video, VideoFile):
            return facts_of(self.video).seconds
        return len(self.video.images) / self.video.fps

    def get_frame_rate(self) -> Fraction:
        """Return the frames a second."""
        fps = facts_of(self.video).fps if isinstance(self.video, VideoFile) else self.video.fps
        return Fraction(fps).limit_denominator(_FINEST)

    def get_frame_count(self) -> int:
        """Return the number of frames."""
        if isinstance(self.video, VideoFile):
            return facts_of(self.video).frames
        return len(self.video.images)

    def get_stream_source(self) -> BinaryIO:
        """Return the video as a file in memory."""
        if isinstance(self.video, VideoFile):
            return io.BytesIO(self.video.content())
        return io.BytesIO(self._file({}))

    def save_to(
        self, path: str | BinaryIO, *_: object, metadata: Any = None, **_more: object
    ) -> None:
        """Write the video as MP4, to a path or a file in memory."""
        texts = {key: str(value) for key, value in (metadata or {}).items()}
        data = self._file(texts)
        if isinstance(path, str | Path):
            Path(path).write_bytes(data)
        else:
            path.write(data)

    def _file(self, texts: Mapping[str, str]) -> bytes:
        copy = copy_video(self.video, texts) if isinstance(self.video, VideoFile) else None
        return copy or write_video(self._frames(), H264, texts, _watch())

    def _frames(self) -> VideoFrames:
        if isinstance(self.video, VideoFile):
            return decode_video(self.video, _watch())
        return self.video


class VideoFromFile(PackVideo):
    """A video of a file, by its path or as a file in memory."""

    def __init__(self, file: str | BinaryIO) -> None:
        data = Path(file).read_bytes() if isinstance(file, str | Path) else file.read()
        name = Path(file).name if isinstance(file, str | Path) else "video"
        super().__init__(VideoFile(torch.frombuffer(bytearray(data), dtype=torch.uint8), name))


class VideoFromComponents(PackVideo):
    """A video of images, a rate and sound."""

    def __init__(self, components: Any) -> None:
        super().__init__(frames_from(components))


def frames_from(components: Any) -> VideoFrames:
    """Convert what `get_components` returns."""
    audio = getattr(components, "audio", None)
    return VideoFrames(
        components.images.detach().cpu().float()[..., :3],
        float(components.frame_rate),
        audio_from(audio) if is_audio(audio) else None,
    )


class _Unwatched:
    """Hears nothing: packs may read videos where no node runs."""

    def progress(self, value: int, total: int) -> None:
        """Take no notice."""

    def notice(self, message: str) -> None:
        """Take no notice."""

    def check_cancelled(self) -> None:
        """Nobody cancels it."""


def _watch() -> Watch:
    return runtime.context() or _Unwatched()


def media_from(value: object, socket: str) -> object:
    """Convert a sound, a video of a class of the pack's own, and grey images without channels.

    ComfyUI saves such images, too. Other values stay as they are.
    """
    if socket == "IMAGE" and isinstance(value, Tensor) and value.ndim == 3:
        return value[..., None]
    if socket in ("AUDIO", "*") and is_audio(value):
        return audio_from(value)
    components = getattr(value, "get_components", None)
    return frames_from(components()) if socket == "VIDEO" and callable(components) else value
