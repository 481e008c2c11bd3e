"""Workflows out of pictures, as ComfyUI and Pillow write them."""

import io
import json
import struct
import zlib

import pytest
from PIL import Image, PngImagePlugin

from nodegraph.errors import InvalidWorkflowError
from nodegraph.workflow import embedded
from nodegraph.workflow.read import read_workflow

PROMPT = json.dumps({"1": {"class_type": "Add", "inputs": {"a": 1}}})
EDITOR = json.dumps({"nodes": [], "links": []})


def png(add=lambda info: None, **texts):
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    add(info)
    return saved("PNG", pnginfo=info)


def webp(**texts):
    exif = Image.Exif()
    for tag, (name, text) in zip((0x0110, 0x010F), texts.items(), strict=False):
        exif[tag] = f"{name}:{text}"
    return saved("WEBP", exif=exif)


def jpeg(**texts):
    exif = Image.Exif()
    for tag, (name, text) in zip((0x0110, 0x010F), texts.items(), strict=False):
        exif[tag] = f"{name}:{text}"
    return saved("JPEG", exif=exif)


def flac(**texts):
    """A sound file's start: its properties, then its comments."""
    parts = [f"{name}={text}".encode() for name, text in texts.items()]
    items = b"".join(struct.pack("<I", len(part)) + part for part in parts)
    comments = struct.pack("<I4sI", 4, b"test", len(parts)) + items
    head = b"fLaC" + (34).to_bytes(4, "big") + bytes(34)
    return head + b"\x84" + len(comments).to_bytes(3, "big") + comments


def saved(kind, **options):
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("make", [png, webp, jpeg, flac])
def test_a_picture_with_both_formats_is_read_by_prompt(make):
    graph = read_workflow(make(prompt=PROMPT, workflow=EDITOR))

    assert list(graph.nodes) == ["1"]
    assert graph.editor == json.loads(EDITOR)


@pytest.mark.parametrize("make", [png, webp, jpeg, flac])
def test_a_file_with_the_editor_format_alone_is_read_if_node_types_are_known(make):
    editor = json.dumps({"nodes": [{"id": 1, "type": "Add"}], "links": []})

    assert list(read_workflow(make(workflow=editor), lambda _: None).nodes) == ["1"]

    with pytest.raises(InvalidWorkflowError, match="editor format"):
        read_workflow(make(workflow=editor))


@pytest.mark.parametrize("make", [png, webp, jpeg, flac])
def test_a_picture_without_a_workflow_is_refused(make):
    with pytest.raises(InvalidWorkflowError, match="carries no workflow"):
        read_workflow(make())


def test_packed_and_international_texts_are_read():
    packed = png(lambda info: info.add_text("prompt", PROMPT, zip=True))
    international = png(lambda info: info.add_itxt("prompt", PROMPT, zip=True))
    plain = png(lambda info: info.add_itxt("prompt", PROMPT))

    for data in (packed, international, plain):
        assert list(read_workflow(data).nodes) == ["1"]


def test_the_chunk_of_animated_pictures_is_read():
    data = png(lambda info: info.add(b"comf", b"prompt\0" + PROMPT.encode()))

    assert list(read_workflow(data).nodes) == ["1"]


def test_a_text_that_unpacks_to_too_much_is_left_out(monkeypatch):
    monkeypatch.setattr(embedded, "MOST_TEXT", 1000)
    bomb = b"prompt\0\0" + zlib.compress(b" " * 2000)

    assert embedded.texts_of(png(lambda info: info.add(b"zTXt", bomb))) == {}


@pytest.mark.parametrize("make", [png, webp, jpeg, flac])
def test_a_file_cut_short_anywhere_is_read_or_refused(make):
    data = make(prompt=PROMPT, workflow=EDITOR)

    for length in range(len(data)):
        try:
            read_workflow(data[:length])
        except InvalidWorkflowError:
            continue


def test_chunks_of_odd_length_are_stepped_over():
    exif = Image.Exif()
    exif[0x0110] = f"prompt:{PROMPT}"

    data = saved("WEBP", icc_profile=b"odd", exif=exif)

    assert list(read_workflow(data).nodes) == ["1"]
