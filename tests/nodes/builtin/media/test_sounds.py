"""Sounds: files of them, and what is made of them."""

import json

import pytest
import torch

from nodegraph.workflow.embedded import texts_of
from nodes.builtin.media.errors import SoundChannelsError, SoundRangeError
from nodes.builtin.media.sound_files import (
    load_audio,
    preview_audio,
    save_audio,
    save_audio_mp3,
    save_audio_opus,
)
from nodes.builtin.media.sounds import (
    audio_adjust_volume,
    audio_concat,
    audio_merge,
    empty_audio,
    split_audio_channels,
    trim_audio_duration,
)
from nodes.media.errors import EncodingError, MediaFileError
from nodes.values import Audio
from tests.nodes.bench import Bench

PROMPT = {"9": {"class_type": "LoadAudio", "inputs": {"audio": "a.flac"}}}


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "input").mkdir()
    return Bench(tmp_path, prompt=PROMPT)


def tone(pitch=440.0, rate=16000, channels=2, seconds=0.5):
    time = torch.arange(int(rate * seconds)) / rate
    wave = torch.sin(time * pitch * 6.2832) * 0.5
    return Audio(torch.stack([wave * (k + 1) / channels for k in range(channels)])[None], rate)


def again(ui, bench):
    """The saved file's path, and its sound read again."""
    (artifact,) = ui.artifacts["audio"]
    path = bench.path(artifact)
    (bench.root / "input" / path.name).write_bytes(path.read_bytes())
    return path, load_audio(path.name, bench)


def test_flac_is_exact_to_16_bits_and_carries_the_workflow(bench):
    path, read = again(save_audio(tone(), ctx=bench), bench)

    assert path.parent.name == "audio"
    assert read.sample_rate == 16000
    assert (read.waveform - tone().waveform).abs().max() < 2**-15
    assert json.loads(texts_of(path.read_bytes())["prompt"]) == PROMPT


@pytest.mark.parametrize("quality", ["V0", "128k", "320k"])
def test_mp3_is_close(bench, quality):
    path, read = again(save_audio_mp3(tone(rate=44100), quality=quality, ctx=bench), bench)

    assert path.suffix == ".mp3"
    assert (read.waveform.shape, read.sample_rate) == ((1, 2, 22050), 44100)
    assert (read.waveform - tone(rate=44100).waveform).abs().max() < 0.05


def test_opus_has_the_next_of_its_rates_and_more_bits_make_larger_files(bench):
    small, read = again(save_audio_opus(tone(rate=22050), quality="64k", ctx=bench), bench)
    large, _ = again(save_audio_opus(tone(rate=22050), quality="320k", ctx=bench), bench)

    assert read.seconds == pytest.approx(0.5, abs=0.02)
    assert small.stat().st_size < large.stat().st_size


def test_each_sound_of_a_batch_is_a_file_and_previews_are_temporary(bench):
    batch = Audio(torch.cat([tone().waveform, tone(220.0).waveform]), 16000)

    saved = save_audio(batch, "two", ctx=bench).artifacts["audio"]
    shown = preview_audio(batch, bench).artifacts["audio"]

    assert [each.filename for each in saved] == ["two_00001_.flac", "two_00002_.flac"]
    assert {each.type for each in shown} == {"temp"}


def test_more_channels_than_mp3_has_are_mixed(bench):
    _, read = again(save_audio_mp3(tone(rate=44100, channels=6), ctx=bench), bench)

    assert read.waveform.shape[1] == 1


@pytest.mark.parametrize(
    ("sound", "problem"),
    [
        (tone(channels=5), "5 channels"),
        (Audio(torch.zeros(1, 1, 0), 44100), "is empty"),
        (Audio(torch.zeros(1, 1, 10), 10_000_000), "10000000 samples a second"),
    ],
)
def test_what_flac_can_not_hold_is_told(bench, sound, problem):
    with pytest.raises(EncodingError, match=problem):
        save_audio(sound, ctx=bench)


def test_values_that_are_no_numbers_are_silence_and_too_loud_ones_clipped(bench):
    wild = torch.tensor([[[float("nan"), 9.0, -9.0, 0.25] * 2000]])

    _, read = again(save_audio(Audio(wild, 16000), ctx=bench), bench)

    assert read.waveform[0, 0, :4].tolist() == pytest.approx([0, 1, -1, 0.25], abs=1e-4)


def test_what_is_no_sound_is_refused(bench):
    (bench.root / "input" / "x.wav").write_bytes(b"RIFF____WAVE")
    (bench.root / "input" / "y.mp3").write_bytes(b"hello")

    for name in ("x.wav", "y.mp3"):
        with pytest.raises(MediaFileError):
            load_audio(name, bench)


def test_silence_has_its_length():
    silent = empty_audio(0.5, 8000, 1)

    assert (silent.waveform.shape, silent.waveform.abs().max()) == ((1, 1, 4000), 0)
    assert empty_audio(0.0).waveform.shape == (1, 2, 0)
    with pytest.raises(SoundRangeError, match="million samples"):
        empty_audio(1e19)
    with pytest.raises(SoundRangeError, match="0 samples a second"):
        empty_audio(1.0, 0)


@pytest.mark.parametrize(
    ("start", "seconds", "kept"),
    [
        (0.25, 0.1, (4000, 5600)),
        (-0.25, 9.0, (4000, 8000)),
        (0.0, 1e30, (0, 8000)),
        (-1e30, 0.1, (0, 1600)),
    ],
)
def test_a_part_is_cut_out(start, seconds, kept):
    cut = trim_audio_duration(tone(), start, seconds)

    assert torch.equal(cut.waveform, tone().waveform[..., kept[0] : kept[1]])


@pytest.mark.parametrize(("start", "seconds"), [(0.5, 1.0), (1e30, 1.0), (0.1, 0.0)])
def test_a_part_that_is_not_there_is_refused(start, seconds):
    with pytest.raises(SoundRangeError, match=r"has 0\.5 s"):
        trim_audio_duration(tone(), start, seconds)


def test_sounds_are_joined_at_the_higher_rate():
    low, high = tone(rate=8000, channels=1), tone(220.0, rate=16000)

    after = audio_concat(low, high)
    before = audio_concat(low, high, "before")

    assert (after.sample_rate, after.waveform.shape) == (16000, (1, 2, 16000))
    assert torch.equal(after.waveform[..., 8000:], high.waveform)
    assert torch.equal(before.waveform[..., :8000], high.waveform)
    raised = after.waveform[0, 0, 1000:7000]
    assert (raised - tone(rate=16000, channels=1).waveform[0, 0, 1000:7000]).abs().max() < 0.02


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("add", [1.0, 0.5]),
        ("mean", [0.65, 0.25]),
        ("subtract", [0.1, 0.5]),
        ("multiply", [0.42, 0.0]),
    ],
)
def test_sounds_are_laid_over_each_other(method, expected):
    first = Audio(torch.tensor([[[0.7, 0.5]]]), 8000)
    second = Audio(torch.tensor([[[0.6]]]), 8000)

    merged = audio_merge(first, second, method).waveform[0, 0].tolist()

    scale = 1.3 if method == "add" else 1.0
    assert merged == pytest.approx([expected[0], expected[1] / scale])


def test_sounds_of_other_channels_do_not_fit():
    with pytest.raises(SoundChannelsError, match="6 and 2 channels"):
        audio_merge(tone(channels=6), tone(channels=2), "add")
    with pytest.raises(SoundChannelsError, match="has 1 channel, not two"):
        split_audio_channels(tone(channels=1))


def test_channels_are_split_and_volume_is_in_decibels():
    left, right = split_audio_channels(tone())

    assert torch.equal(right.waveform, left.waveform * 2)
    assert torch.equal(audio_adjust_volume(tone(), 0).waveform, tone().waveform)
    louder = audio_adjust_volume(tone(), 6).waveform.abs().max() / tone().waveform.abs().max()
    assert louder.item() == pytest.approx(2.0, abs=0.01)
