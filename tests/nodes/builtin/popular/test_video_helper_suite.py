"""Videos by the nodes of VideoHelperSuite."""

import json
from typing import Any

import pytest
import torch
from PIL import Image as Pictures

from nodegraph.errors import NodeGraphError
from nodegraph.workflow.embedded import texts_of
from nodes.builtin.popular.video_helper_suite import vhs_load_video, vhs_video_combine
from nodes.imaging.errors import EmptyBatchError
from nodes.media.decode import decode_video, has_sound, read_media
from nodes.media.encode import H264, write_video
from nodes.media.errors import MediaFileError
from nodes.media.values import VideoFrames
from nodes.values import Audio, Latent
from tests.nodes.bench import Bench

PROMPT = {"9": {"class_type": "VHS_VideoCombine", "inputs": {}}}


def steps(count=12, height=32, width=48):
    """Frames that are each brighter than the last."""
    return torch.linspace(0, 0.9, count)[:, None, None, None].expand(-1, height, width, 3)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with a video of 12 frames, 12 a second, and a second of sound."""
    folder = tmp_path_factory.mktemp("vhs")
    (folder / "input").mkdir()
    sound = Audio(torch.linspace(0, 0.5, 16000).expand(1, 2, -1), 16000)
    data = write_video(VideoFrames(steps(), 12.0, sound), H264, {}, Bench(folder))
    (folder / "input" / "a.mp4").write_bytes(data)
    return folder


@pytest.fixture
def bench(root):
    return Bench(root, prompt=PROMPT)


def numbers(images):
    """The frames of `steps` that images are."""
    return (images.mean(dim=(1, 2, 3)) / 0.9 * 11).round().int().tolist()


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({}, list(range(12))),
        ({"frame_load_cap": 3}, [0, 1, 2]),
        ({"skip_first_frames": 10}, [10, 11]),
        ({"select_every_nth": 5}, [0, 5, 10]),
        ({"skip_first_frames": 1, "select_every_nth": 4, "frame_load_cap": 2}, [1, 5]),
        ({"force_rate": 6}, [0, 2, 4, 6, 8, 10]),
        ({"force_rate": 24, "frame_load_cap": 5}, [0, 0, 1, 1, 2]),
    ],
)
def test_frames_are_chosen(bench, asked, kept):
    images, count, audio, info = vhs_load_video(video="a.mp4", **asked, ctx=bench)

    assert numbers(images) == kept
    assert count == info["loaded_frame_count"] == len(kept)
    assert (info["source_fps"], info["source_frame_count"]) == (12.0, 12)
    assert audio
    assert info["loaded_duration"] == pytest.approx(audio.seconds, abs=0.3)


def test_the_sound_is_that_of_the_chosen_frames(bench):
    audio = vhs_load_video(video="a.mp4", skip_first_frames=6, ctx=bench).audio

    assert audio
    assert audio.waveform[0, 0, 800].item() == pytest.approx(0.25 + 0.025, abs=0.03)


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"custom_width": 24}, (16, 24)),
        ({"custom_height": 64}, (64, 96)),
        ({"custom_width": 40, "custom_height": 40}, (40, 40)),
        ({"custom_width": 40, "custom_height": 40, "force_size": "Disabled"}, (32, 48)),
        ({"custom_width": 24, "custom_height": 40, "force_size": "Custom Width"}, (16, 24)),
        ({"force_size": "256x?"}, (168, 256)),
    ],
)
def test_frames_are_scaled(bench, asked, size):
    images = vhs_load_video(video="a.mp4", frame_load_cap=2, **asked, ctx=bench).IMAGE

    assert images.shape == (2, *size, 3)


def test_more_frames_than_there_are_can_not_be_skipped(bench):
    with pytest.raises(MediaFileError, match="no video in it"):
        vhs_load_video(video="a.mp4", skip_first_frames=12, ctx=bench)


def combined(bench, format, **more):
    given: dict[str, Any] = {"images": steps(6), "frame_rate": 12.0, "filename_prefix": "made"}
    ui: Any = vhs_video_combine(**(given | more), format=format, ctx=bench)
    (artifact,) = ui.artifacts["images"]
    (shown,) = ui.values["gifs"]
    assert shown["filename"] == artifact.filename
    assert shown["format"] == format
    assert ui.outputs[0][1] == [str(bench.path(artifact))]
    return bench.path(artifact)


@pytest.mark.parametrize(
    "format", ["video/h264-mp4", "video/h265-mp4", "video/nvenc_h264-mp4", "video/webm"]
)
def test_a_video_has_its_frames_its_sound_and_its_workflow(bench, format):
    sound = Audio(torch.zeros(1, 1, 16000), 16000)

    path = combined(bench, format, audio=sound, crf=25)

    read = decode_video(read_media(path), bench)
    assert (len(read.images), read.fps) == (6, 12.0)
    assert read.audio
    assert read.audio.seconds == pytest.approx(0.5, abs=0.1)
    assert json.loads(texts_of(path.read_bytes())["prompt"]) == PROMPT


def test_a_video_goes_back_and_forth_and_repeats(bench):
    path = combined(bench, "video/h264-mp4", pingpong=True, loop_count=1, crf=10)

    images = decode_video(read_media(path), bench).images

    assert len(images) == 20
    assert (images[6] - images[4]).abs().mean() < 0.02


def test_a_video_ends_with_its_sound_if_asked_and_hides_its_workflow(bench):
    sound = Audio(torch.zeros(1, 1, 4000), 16000)

    path = combined(bench, "video/h264-mp4", audio=sound, trim_to_audio=True, save_metadata=False)

    assert len(decode_video(read_media(path), bench).images) == 3
    assert has_sound(read_media(path))
    assert "prompt" not in texts_of(path.read_bytes())


@pytest.mark.parametrize(("format", "kind"), [("image/gif", "GIF"), ("image/webp", "WEBP")])
def test_animations_have_their_frames_and_their_time(bench, format, kind):
    path = combined(bench, format, save_output=False)

    assert path.parent == bench.root / "temp"
    opened: Any
    with Pictures.open(path) as opened:
        assert (opened.format, opened.n_frames) == (kind, 6)
        opened.seek(5)
        opened.load()
        assert opened.info["duration"] == pytest.approx(83, abs=5)
        assert opened.convert("RGB").getpixel((5, 5))[0] == pytest.approx(229, abs=4)


def test_a_gif_is_loaded_as_a_video(bench):
    (bench.root / "input" / "a.gif").write_bytes(combined(bench, "image/gif").read_bytes())

    images, _, audio, info = vhs_load_video(video="a.gif", ctx=bench)

    assert images.shape == (6, 32, 48, 3)
    assert audio is None
    assert info["source_fps"] == pytest.approx(12.5, abs=0.5)


def test_latents_need_a_vae_and_nothing_is_refused(bench):
    with pytest.raises(NodeGraphError, match="there is no VAE"):
        combined(bench, "image/gif", images=Latent(torch.zeros(1, 4, 4, 4)))
    with pytest.raises(EmptyBatchError):
        combined(bench, "image/gif", images=torch.zeros(0, 8, 8, 3))
