"""Nodes that make, cut and combine sounds."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy import signal
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.builtin.media.errors import SoundChannelsError, SoundRangeError
from nodes.imaging.batch import repeat_to_batch
from nodes.media.decode import MOST_SAMPLES
from nodes.values import Audio

_MOST = 2**64 - 1


class Channels(NamedTuple):
    """The outputs of `SplitAudioChannels`."""

    left: Audio
    right: Audio


@node("EmptyAudio", category="audio", display_name="Empty Audio")
def empty_audio(
    duration: Annotated[float, Field(ge=0.0, le=_MOST), Step(0.01)] = 60.0,
    sample_rate: int = 44100,
    channels: Annotated[int, Field(ge=1, le=2)] = 2,
) -> Audio:
    """Make silence of `duration` seconds: [1, channels, samples]."""
    if sample_rate < 1:
        problem, hint = f"{sample_rate} samples a second are none", "44100 and 48000 are usual."
        raise SoundRangeError(problem, hint, "sample_rate")
    if duration * sample_rate * channels > MOST_SAMPLES:
        problem = f"{duration:g} seconds have more than {MOST_SAMPLES // 1_000_000} million samples"
        raise SoundRangeError(problem, "Make it shorter.", "duration")
    return Audio(torch.zeros(1, channels, round(duration * sample_rate)), sample_rate)


@node("TrimAudioDuration", category="audio", display_name="Trim Audio Duration")
def trim_audio_duration(
    audio: Audio,
    start_index: Annotated[float, Field(ge=-_MOST, le=_MOST), Step(0.01)] = 0.0,
    duration: Annotated[float, Field(ge=0.0), Step(0.01)] = 60.0,
) -> Audio:
    """Cut a part out of sounds: `duration` seconds from `start_index` on, fewer where they end.

    A negative start counts from the end.
    """
    length = audio.waveform.shape[-1]
    start = round(max(-length, min(start_index * audio.sample_rate, length)))
    first = start if start >= 0 else length + start
    last = min(length, first + round(min(duration * audio.sample_rate, length)))
    if first >= last:
        problem = f"from {start_index:g} s on for {duration:g} s there is nothing"
        raise SoundRangeError(problem, f"The sound has {audio.seconds:g} s.", "start_index")
    return replace(audio, waveform=audio.waveform[..., first:last].contiguous())


@node("SplitAudioChannels", category="audio", display_name="Split Audio Channels")
def split_audio_channels(audio: Audio) -> Channels:
    """Split stereo sounds into their left and right channel."""
    channels = audio.waveform.shape[1]
    if channels != 2:
        problem = f"the sound has {channels} channel{'s' if channels != 1 else ''}, not two"
        raise SoundChannelsError(problem, "Use a stereo sound.")
    left, right = (audio.waveform[:, k : k + 1].contiguous() for k in (0, 1))
    return Channels(replace(audio, waveform=left), replace(audio, waveform=right))


@node("AudioConcat", category="audio", display_name="Audio Concat")
def audio_concat(
    audio1: Audio, audio2: Audio, direction: Literal["after", "before"] = "after"
) -> Audio:
    """Join two sounds: `audio2` after or before `audio1`.

    The lower sample rate is raised to the other, and a single channel is repeated.
    """
    first, second, rate = _match(audio1, audio2)
    parts = [first, second] if direction == "after" else [second, first]
    return Audio(torch.cat(parts, dim=-1), rate)


@node("AudioMerge", category="audio", display_name="Audio Merge")
def audio_merge(
    audio1: Audio, audio2: Audio, merge_method: Literal["add", "mean", "subtract", "multiply"]
) -> Audio:
    """Lay `audio2` over `audio1`, cut or continued by silence to its length.

    The lower sample rate is raised to the other, and a single channel is repeated. What would be
    too loud is made quieter as a whole.
    """
    first, second, rate = _match(audio1, audio2)
    length = first.shape[-1]
    second = functional.pad(second[..., :length], (0, max(0, length - second.shape[-1])))
    merged = {
        "add": first + second,
        "mean": (first + second) / 2,
        "subtract": first - second,
        "multiply": first * second,
    }[merge_method]
    loudest = merged.abs().max().item() if merged.numel() else 0.0
    return Audio(merged / loudest if loudest > 1 else merged, rate)


@node("AudioAdjustVolume", category="audio", display_name="Audio Adjust Volume")
def audio_adjust_volume(audio: Audio, volume: Annotated[int, Field(ge=-100, le=100)] = 1) -> Audio:
    """Make sounds louder or quieter by decibels: 6 doubles, -6 halves, 0 changes nothing."""
    return replace(audio, waveform=audio.waveform * 10 ** (volume / 20)) if volume else audio


def _match(first: Audio, second: Audio) -> tuple[Tensor, Tensor, int]:
    """Bring two sounds to one sample rate, number of channels and number of sounds."""
    rate = max(first.sample_rate, second.sample_rate)
    one, two = (_resample(each, rate) for each in (first, second))
    channels = max(one.shape[1], two.shape[1])
    if {one.shape[1], two.shape[1]} - {1, channels}:
        problem = f"sounds of {one.shape[1]} and {two.shape[1]} channels do not fit"
        raise SoundChannelsError(problem, "Use sounds of as many channels, or of one.")
    count = max(len(one), len(two))
    one, two = (repeat_to_batch(each, count).expand(-1, channels, -1) for each in (one, two))
    return one, two.to(one), rate


def _resample(audio: Audio, rate: int) -> Tensor:
    if audio.sample_rate == rate:
        return audio.waveform
    shared = math.gcd(rate, audio.sample_rate)
    samples = audio.waveform.numpy(force=True)
    resample = cast("Callable[..., NDArray[np.float32]]", signal.resample_poly)
    made = resample(samples, rate // shared, audio.sample_rate // shared, axis=-1)
    return torch.tensor(made).to(audio.waveform)
