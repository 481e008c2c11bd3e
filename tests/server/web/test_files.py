"""Files that go in over HTTP, and those that come out."""

import gzip
import io
import json
import socket
import struct
import zlib
from urllib.parse import urlencode

import pytest
from PIL import Image, PngImagePlugin

from tests.server.serving import until

PAGE = b"<html><script>alert(1)</script></html>"


def form(files=(), **fields):
    """A multipart body and its content type; `files` are (field, name, bytes)."""
    parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    parts += [(f'name="{field}"; filename="{name}"', data) for field, name, data in files]
    lines = [
        b"--b\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
        for head, data in parts
    ]
    return b"".join(lines) + b"--b--\r\n", "multipart/form-data; boundary=b"


def upload(server, name, data, path="/upload/image", **fields):
    body, kind = form([("image", name, data)], **fields)
    return server.post(path, body, Content_Type=kind)


def stored(server, name, data, **fields):
    reply = upload(server, name, data, **fields)
    assert reply.status == 200, reply.data
    return reply.json


def view(server, filename, **more):
    return server.get("/view?" + urlencode({"filename": filename, "type": "input", **more}))


def png(colour=(255, 0, 0, 128), size=(16, 8), **texts):
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    buffer = io.BytesIO()
    Image.new("RGBA", size, colour).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def opened(reply):
    assert reply.status == 200, reply.data
    return Image.open(io.BytesIO(reply.data))


def bomb(side=40_000):
    """A small file that says it is huge."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_what_is_uploaded_comes_back(server):
    data = png()
    reply = stored(server, "there and back.png", data)
    assert reply == {"name": "there and back.png", "subfolder": "", "type": "input"}
    assert (server.home / "input" / reply["name"]).read_bytes() == data

    shown = view(server, reply["name"])
    assert shown.data == data
    assert shown.headers["Content-Type"] == "image/png"
    assert shown.headers["Content-Disposition"] == 'inline; filename="there and back.png"'


def test_the_same_bytes_have_one_name_and_others_another(server):
    one, two = png((1, 2, 3, 4)), png((4, 3, 2, 1))
    names = [stored(server, "same.png", data)["name"] for data in (one, one, two, two)]
    assert names == ["same.png", "same.png", "same (1).png", "same (1).png"]

    assert stored(server, "same.png", two, overwrite="true")["name"] == "same.png"
    assert view(server, "same.png").data == two


def test_uploads_go_where_they_are_told(server):
    assert stored(server, "a.png", png(), subfolder="sub/deep", type="temp") == {
        "name": "a.png",
        "subfolder": "sub/deep",
        "type": "temp",
    }
    assert view(server, "a.png", subfolder="sub/deep", type="temp").data == png()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("../a.png", {}),
        ("..\\\\a.png", {}),
        (".bashrc", {}),
        ("a.png", {"subfolder": "../.."}),
        ("a.png", {"subfolder": "/tmp"}),
        ("a.png", {"type": "models"}),
    ],
)
def test_uploads_go_nowhere_else(server, name, fields):
    before = sorted(server.home.rglob("*.png"))
    assert upload(server, name, b"out", **fields).status == 400
    assert sorted(server.home.rglob("*.png")) == before


def test_forms_that_are_none_are_refused(server):
    kind = "multipart/form-data; boundary=b"
    many, _ = form(**{f"field{number}": "x" for number in range(30)})
    long, _ = form([("image", "a.png", b"")], subfolder="x" * 100_000)
    nameless, _ = form([("file", "a.png", b"x")])

    assert server.post("/upload/image", b"x=y").status == 400
    for body in (b"", b"--b", b"--c--", many, long, nameless, b"--b\r\n" + b"a:b\r\n" * 10_000):
        assert server.post("/upload/image", body, Content_Type=kind).status == 400, body[:50]
    bare = server.post("/upload/image", many, Content_Type="multipart/form-data")
    assert bare.status == 400


def test_an_upload_that_is_too_large_leaves_nothing(server):
    data = bytes(101 * 2**20)
    before = {path for path in server.home.rglob("*") if path.is_file()}
    assert upload(server, "large.bin", data).status == 413
    after = {path for path in server.home.rglob("*") if path.is_file()}
    assert not [path for path in after - before if "data" not in path.parts]


def test_what_could_act_in_a_browser_is_for_downloading(server):
    for name in ("page.html", "page.svg", "page.js", "page.xhtml", "page", "page.pdf"):
        stored(server, name, PAGE)
        headers = view(server, name).headers
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"].startswith("attachment")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]


def test_files_come_in_ranges(server):
    data = png((9, 9, 9, 9))
    stored(server, "range.png", data)
    part = server.get("/view?filename=range.png&type=input", Range="bytes=2-9")
    assert (part.status, part.data) == (206, data[2:10])
    assert part.headers["Content-Range"] == f"bytes 2-9/{len(data)}"


def test_a_packed_file_beside_it_is_not_taken_for_it(server):
    stored(server, "packed.png", png())
    stored(server, "packed.png.gz", gzip.compress(PAGE))
    shown = server.get("/view?filename=packed.png&type=input", Accept_Encoding="gzip, br")
    assert shown.data == png()
    assert "Content-Encoding" not in shown.headers
    assert shown.headers["X-Content-Type-Options"] == "nosniff"


def test_a_mark_in_the_name_says_the_folder(server):
    stored(server, "marked.png", png(), type="output")
    assert view(server, "marked.png [output]").data == png()
    assert view(server, "marked.png").status == 404


def test_names_that_no_header_holds_are_quoted(server):
    stored(server, "bär;x.png", png())
    header = view(server, "bär;x.png").headers["Content-Disposition"]
    assert header == "inline; filename=\"b_r;x.png\"; filename*=UTF-8''b%C3%A4r%3Bx.png"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"filename": "none.png"}, 404),
        ({}, 404),
        ({"filename": "../../main.py"}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": "a.png", "type": "bogus"}, 400),
        ({"filename": "a.png", "channel": "x"}, 400),
        ({"filename": "passwd", "subfolder": "../../../../etc"}, 403),
        ({"filename": "passwd", "subfolder": "/etc"}, 403),
        ({"filename": "a\0.png"}, 400),
    ],
)
def test_what_cannot_be_viewed(server, query, status):
    assert server.get("/view?" + urlencode(query)).status == status


def test_previews_and_channels(server):
    stored(server, "view.png", png((200, 100, 50, 128)))

    shown = view(server, "view.png", preview="webp;90")
    assert shown.headers["Content-Type"] == "image/webp"
    assert (opened(shown).format, opened(shown).size) == ("WEBP", (16, 8))
    assert opened(view(server, "view.png", preview="jpeg;50")).format == "JPEG"
    assert opened(view(server, "view.png", preview="jpeg", channel="rgba")).format == "WEBP"
    assert opened(view(server, "view.png", preview="png;x")).format == "WEBP"

    colours, alpha = (opened(view(server, "view.png", channel=name)) for name in ("rgb", "a"))
    assert (colours.mode, colours.getpixel((0, 0))) == ("RGB", (200, 100, 50))
    assert (alpha.mode, alpha.getpixel((0, 0))) == ("RGBA", (0, 0, 0, 128))
    assert view(server, "view.png", channel="rgba").data == png((200, 100, 50, 128))


def test_a_mask_becomes_the_alpha_of_its_picture(server):
    texts = {"prompt": "{}", "workflow": '{"nodes": []}'}
    stored(server, "painted.png", png((10, 20, 30, 255), **texts))
    reference = json.dumps({"filename": "painted.png", "subfolder": "", "type": "input"})
    mask = png((0, 0, 0, 77))

    reply = upload(server, "mask.png", mask, "/api/upload/mask", original_ref=reference)
    assert reply.json == {"name": "mask.png", "subfolder": "", "type": "input"}
    merged = opened(view(server, "mask.png"))
    assert merged.getpixel((3, 3)) == (10, 20, 30, 77)
    assert {**merged.info} == texts

    again = upload(server, "mask.png", mask, "/upload/mask", original_ref=reference)
    assert again.json["name"] == "mask.png"


def test_masks_that_fit_nothing_are_refused(server):
    stored(server, "base.png", png())
    stored(server, "text.png", b"no picture")
    good = {"filename": "base.png", "type": "input"}

    def status(mask, reference):
        sent = {} if reference is None else {"original_ref": json.dumps(reference)}
        return upload(server, "m.png", mask, "/upload/mask", **sent).status

    assert status(png(size=(4, 4)), good) == 400
    assert status(b"no picture", good) == 400
    assert status(png(), None) == 400
    assert status(png(), ["base.png"]) == 400
    assert status(png(), {"filename": 1}) == 400
    assert status(png(), {**good, "filename": "text.png"}) == 400
    assert status(png(), {**good, "filename": "none.png"}) == 404
    assert status(png(), {**good, "filename": "../base.png"}) == 400
    assert not (server.home / "input" / "m.png").exists()


def test_pictures_that_hurt_hurt_nobody(server):
    bad = {
        "bomb.png": (bomb(), b"40000 by 40000"),
        "half.png": (png(size=(99, 99))[:40], b"damaged"),
        "no.png": (b"\x89PNG", b"not an image"),
        "page.png": (PAGE, b"not an image"),
    }
    for name, (data, reason) in bad.items():
        stored(server, name, data)
        reply = view(server, name, preview="webp;90")
        assert reply.status == 400, name
        assert reason in reply.data
        assert view(server, name).data == data
    stored(server, "fine.png", png())
    assert view(server, "fine.png", preview="webp;90").status == 200


def test_an_upload_that_breaks_off_leaves_nothing(server):
    body, kind = form([("image", "broken.png", png())])
    head = f"POST /upload/image HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
    address = server.url.removeprefix("http://").split(":")
    before = (server.home / "log.txt").read_text()
    for length in (f"Content-Length: {len(body)}", "Transfer-Encoding: chunked"):
        with socket.create_connection((address[0], int(address[1]))) as connection:
            connection.sendall(f"{head}{length}\r\n\r\n".encode())
            connection.sendall(body[:60] if "Length" in length else b"3c\r\n" + body[:60])
    stored(server, "after.png", png())
    until(lambda: not list(server.home.rglob("*.part")))
    assert not list((server.home / "input").glob("broken*"))
    assert "Traceback" not in (server.home / "log.txt").read_text().removeprefix(before)
