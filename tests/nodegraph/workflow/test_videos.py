"""Workflows out of MP4 and WebM files, as ComfyUI, VideoHelperSuite and ffmpeg write them."""

import json
import struct

import pytest

from nodegraph.errors import InvalidWorkflowError
from nodegraph.workflow.read import read_workflow
from tests.nodegraph.drawn import drawn, item, shapes

PROMPT = {"1": {"class_type": "Number", "inputs": {"value": 1}}}
DRAWN = drawn(item(2, "Number", values=[5]))
FTYP = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 512)


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def data(text):
    return box(b"data", struct.pack(">II", 1, 0), text.encode())


def comfyui(**texts):
    """The tags of PyAV with `use_metadata_tags`: a list of keys, and values by their numbers."""
    keys = [box(b"mdta", name.encode()) for name in texts]
    values = [
        box((number + 1).to_bytes(4, "big"), data(text))
        for number, text in enumerate(texts.values())
    ]
    return box(
        b"meta",
        box(b"hdlr", bytes(8), b"mdta", bytes(13)),
        box(b"keys", struct.pack(">II", 0, len(keys)), *keys),
        box(b"ilst", *values),
    )


def mp4(*parts, large=False):
    payload = box(b"mdat", b"\0" * 30)
    if large:
        payload = struct.pack(">I4sQ", 1, b"mdat", 46) + b"\0" * 30
    return FTYP + payload + box(b"moov", box(b"trak", b"\0" * 9), *parts)


def commented(text):
    """VideoHelperSuite's, as ffmpeg writes a comment."""
    hdlr = box(b"hdlr", bytes(8), b"mdir", bytes(13))
    inner = box(b"meta", bytes(4), hdlr, box(b"ilst", box(b"\xa9cmt", data(text))))
    return box(b"udta", inner)


def element(key, body, unknown=False):
    size = b"\x01" + b"\xff" * 7 if unknown else (len(body) | 1 << 28).to_bytes(4, "big")
    return key.to_bytes((key.bit_length() + 7) // 8, "big") + size + body


def tag(name, text):
    return element(0x67C8, element(0x45A3, name.encode()) + element(0x4487, text.encode()))


def webm(*tags, unknown=False):
    found = element(0x7373, element(0x63C0, b"") + b"".join(tags))
    segment = element(0x1F43B675, b"\0" * 50) + element(0x1254C367, found)
    return element(0x1A45DFA3, b"\x42\x82\x84webm") + element(0x18538067, segment, unknown)


BOTH = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(DRAWN)}
COMMENT = json.dumps({"prompt": json.dumps(PROMPT), "workflow": DRAWN, "CreationTime": "x"})
VIDEOS = {
    "mp4": mp4(comfyui(**BOTH)),
    "mp4 in udta": mp4(box(b"udta", comfyui(**BOTH))),
    "large mp4": mp4(comfyui(**BOTH), large=True),
    "mp4 with a comment": mp4(commented(COMMENT)),
    "webm": webm(*(tag(name.upper(), text) for name, text in BOTH.items())),
    "webm of unknown size": webm(tag("COMMENT", COMMENT), unknown=True),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_is_read_by_its_prompt_and_keeps_its_workflow(name):
    graph = read_workflow(VIDEOS[name])

    assert graph.nodes["1"].inputs == {"value": 1}
    assert graph.editor == DRAWN


def test_a_video_with_the_editors_format_alone_is_read():
    for video in (mp4(comfyui(workflow=BOTH["workflow"])), webm(tag("WORKFLOW", BOTH["workflow"]))):
        assert read_workflow(video, shapes).nodes["2"].inputs == {"value": 5}


@pytest.mark.parametrize(
    "video", [mp4(), mp4(commented("a fine day")), webm(), webm(tag("COMMENT", "a fine day"))]
)
def test_a_video_without_a_workflow_is_refused(video):
    with pytest.raises(InvalidWorkflowError, match="carries no workflow"):
        read_workflow(video)


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_cut_short_or_broken_anywhere_is_read_or_refused(name):
    video = VIDEOS[name]
    for length in range(8, len(video)):
        for broken in (video[:length], video[:length] + b"\xff\0" + video[length + 2 :]):
            try:
                read_workflow(broken, shapes)
            except InvalidWorkflowError:
                continue


def test_boxes_that_nest_without_end_are_left():
    inner = b""
    for _ in range(3000):
        inner = box(b"moov", inner)

    with pytest.raises(InvalidWorkflowError, match="carries no workflow"):
        read_workflow(FTYP + inner)
