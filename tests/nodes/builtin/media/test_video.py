"""Videos in and out, through files that FFmpeg writes and reads."""

import io
import json
import struct
import zipfile

import pytest
import torch

from nodegraph.cache.entry import Held
from nodegraph.cache.plain_values import decode, encode
from nodegraph.cache.survey import survey
from nodegraph.errors import UnknownFileError, UnsafePathError
from nodegraph.workflow.embedded import texts_of
from nodes.builtin.media.video import (
    create_video,
    get_video_components,
    load_video,
    save_video,
    save_webm,
)
from nodes.imaging.errors import EmptyBatchError
from nodes.media import decode as decoding
from nodes.media import pyav
from nodes.media.decode import facts_of
from nodes.media.errors import MediaFileError, MediaSizeError, MissingPyavError
from nodes.media.values import VideoFile, VideoFrames
from nodes.preflight.media import check_video
from nodes.values import Audio
from tests.nodes.bench import Bench
from tests.nodes.pictures import untouched

PROMPT = {"9": {"class_type": "CLIPTextEncode", "inputs": {"text": "café ☕"}}}
TONE = Audio(torch.sin(torch.arange(44100) * 0.05)[None, None] * 0.5, 44100)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    (folder / "input").mkdir()
    return folder


@pytest.fixture
def bench(root):
    return Bench(root, prompt=PROMPT, extra_pnginfo={"workflow": {"nodes": [1]}})


def slope(count=6, height=32, width=48):
    """Frames that grow brighter, and are brighter to the right."""
    right = torch.linspace(0, 0.5, width).expand(height, width)
    later = torch.linspace(0, 0.5, count)
    return (later[:, None, None] + right)[..., None].expand(-1, -1, -1, 3).contiguous()


def path_of(ui, bench):
    (artifact,) = ui.artifacts["images"]
    assert ui.as_dict()["animated"] == [True]
    return bench.path(artifact)


@pytest.fixture(scope="module")
def mp4(root):
    """A file of six frames and 0.5 seconds of sound, and the images that it was made of."""
    bench = Bench(root, prompt=PROMPT, extra_pnginfo={"workflow": {"nodes": [1]}})
    path = path_of(save_video(create_video(slope(), 12.0, TONE), "made", ctx=bench), bench)
    (root / "input" / "made.mp4").write_bytes(path.read_bytes())
    return path


def test_a_video_comes_back_from_its_file(bench, mp4):
    with untouched(slope()):
        video = load_video("made.mp4", bench)
        images, audio, fps = get_video_components(video, bench)

    assert (images.shape, fps) == ((6, 32, 48, 3), 12.0)
    assert (images - slope()).abs().max() < 0.08
    assert audio
    assert (audio.sample_rate, audio.waveform.shape[:2]) == (44100, (1, 1))
    assert audio.seconds == pytest.approx(0.5, abs=0.05)
    assert bench.progressed[-1] == (6, 6)
    assert isinstance(video, VideoFile)
    assert facts_of(video)[:4] == (48, 32, 12.0, 6)


def test_the_file_carries_the_workflow(mp4):
    texts = texts_of(mp4.read_bytes())

    assert json.loads(texts["prompt"]) == PROMPT
    assert json.loads(texts["workflow"]) == {"nodes": [1]}
    assert "nodegraph" in texts


def test_a_loaded_video_is_copied_and_carries_the_new_workflow(bench, mp4):
    bench.prompt = {"1": {"class_type": "LoadVideo", "inputs": {"file": "made.mp4"}}}

    path = path_of(save_video(load_video("made.mp4", bench), "copy", ctx=bench), bench)

    (bench.root / "input" / "copy.mp4").write_bytes(path.read_bytes())
    copied, original = (
        get_video_components(load_video(name, bench), bench) for name in ("copy.mp4", "made.mp4")
    )
    assert torch.equal(copied.images, original.images)
    assert json.loads(texts_of(path.read_bytes())["prompt"]) == bench.prompt


@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_webm_is_written_read_and_saved_as_mp4(bench, codec):
    images = slope(4, 33, 47)

    path = path_of(save_webm(images=images, codec=codec, fps=12.5, crf=10.0, ctx=bench), bench)

    assert json.loads(texts_of(path.read_bytes())["prompt"]) == PROMPT
    (bench.root / "input" / "w.webm").write_bytes(path.read_bytes())
    video = load_video("w.webm", bench)
    read, audio, fps = get_video_components(video, bench)
    assert (read.shape, audio, fps) == ((4, 34, 48, 3), None, 12.5)
    assert (read[:, :33, :47] - images).abs().max() < 0.1
    assert path_of(save_video(video, "again", ctx=bench), bench).suffix == ".mp4"


def test_a_video_without_a_file_is_taken_apart_as_it_is(bench):
    video = create_video(slope(), 25.0)

    assert isinstance(video, VideoFrames)
    assert get_video_components(video, bench) == (video.images, None, 25.0)


def test_a_batch_of_none_is_refused(bench):
    none = torch.zeros(0, 8, 8, 3)

    with pytest.raises(EmptyBatchError):
        create_video(none)
    with pytest.raises(EmptyBatchError):
        save_webm(images=none, codec="vp9", ctx=bench)


@pytest.mark.parametrize("kind", ["file", "frames"])
def test_videos_are_plain_data_that_the_disk_can_keep(bench, mp4, kind):
    video = load_video("made.mp4", bench) if kind == "file" else VideoFrames(slope(), 8.0, TONE)
    size = survey(video).nbytes
    stored = encode(Held.of((video,), survey((video,))), 1.0)

    assert stored
    (back,) = decode(stored).held.outputs
    assert size > 5000
    assert type(back) is type(video)
    assert get_video_components(back, bench).images.equal(get_video_components(video, bench).images)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
ZIP = io.BytesIO()
with zipfile.ZipFile(ZIP, "w") as made:
    made.writestr("a", "b")
STRANGE = {
    "empty.mp4": b"",
    "playlist.mp4": PLAYLIST,
    "concat.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "page.webm": b"<!doctype html>",
    "zip.avi": ZIP.getvalue(),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_video_is_refused_before_the_run(bench, name):
    (bench.root / "input" / name).write_bytes(STRANGE[name])

    with pytest.raises(MediaFileError) as caught:
        check_video({"file": name}, bench.files)

    assert caught.value.code == "not_media"
    assert "MP4" in caught.value.hint
    with pytest.raises(MediaFileError):
        load_video(name, bench)


@pytest.mark.parametrize("name", ["../made/secret.mp4", "/etc/passwd", "mode.mp4"])
def test_names_lead_nowhere_else(bench, name):
    with pytest.raises((UnsafePathError, UnknownFileError)):
        load_video(name, bench)


def opened(bench, data, name="broken.mp4"):
    (bench.root / "input" / name).write_bytes(data)
    return load_video(name, bench)


def test_a_damaged_video_gives_what_can_be_read(bench, mp4):
    data = bytearray(mp4.read_bytes())
    at = data.index(b"mdat") + 4
    with pytest.raises(MediaFileError) as caught:
        get_video_components(opened(bench, bytes(data[: at + 30])), bench)
    assert caught.value.code in ("damaged_media", "no_pictures")

    for start in range(at + 400, len(data) - 40, 40):
        data[start] ^= 0xFF
    try:
        images = get_video_components(opened(bench, bytes(data)), bench).images
    except MediaFileError as error:
        assert error.code in ("damaged_media", "no_sound")  # noqa: PT017 - either may happen
    else:
        assert images.shape[1:] == (32, 48, 3)


def test_a_header_alone_has_no_pictures(bench):
    with pytest.raises(MediaFileError):
        get_video_components(opened(bench, struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0)), bench)


def test_sound_alone_is_no_video(bench, root):
    from nodes.builtin.media.sound_files import save_audio

    (artifact,) = save_audio(TONE, "tone", ctx=bench).artifacts["audio"]
    data = bench.path(artifact).read_bytes()

    with pytest.raises(MediaFileError, match="has no video in it"):
        get_video_components(opened(bench, data, "tone.flac"), bench)


def test_a_video_that_is_too_large_is_refused_before_it_fills_memory(bench, mp4, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_PIXELS", 4 * 32 * 48)

    with pytest.raises(MediaSizeError, match="million pixels"):
        get_video_components(load_video("made.mp4", bench), bench)


def test_frames_that_are_too_large_are_not_decoded(bench, mp4, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_FRAME_PIXELS", 1000)

    with pytest.raises(MediaSizeError, match="48x32"):
        get_video_components(load_video("made.mp4", bench), bench)


def test_a_video_that_stands_on_its_side_is_turned_upright(bench, mp4):
    data = bytearray(mp4.read_bytes())
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    at = data.index(identity, data.index(b"tkhd"))
    data[at : at + len(identity)] = clockwise

    images = get_video_components(opened(bench, bytes(data)), bench).images

    assert images.shape == (6, 48, 32, 3)
    assert images[0, 0].mean() < 0.1 < images[0, -1].mean()


def test_without_pyav_the_message_names_the_extra(bench, mp4, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)

    with pytest.raises(MissingPyavError, match=r"nodegraph\[video\]"):
        pyav.load_pyav()
    with pytest.raises(MissingPyavError):
        get_video_components(load_video("made.mp4", bench), bench)


def test_a_cancelled_run_stops_within_the_video(root, mp4):
    bench = Bench(root, cancel_at=3)

    with pytest.raises(InterruptedError):
        get_video_components(VideoFile(torch.tensor([*mp4.read_bytes()]).byte(), "x"), bench)

    assert len(bench.progressed) == 2
