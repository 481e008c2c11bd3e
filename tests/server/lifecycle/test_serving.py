"""The whole way: over HTTP into the queue, through a worker process, and back."""

import asyncio
import json
import socket
import time
from urllib.parse import urlsplit

import aiohttp
import torch

from nodegraph.workflow.embedded import texts_of
from nodes.media.encode import H264, write_video
from nodes.media.values import VideoFrames
from tests.nodes.bench import Bench
from tests.server.serving import TOYS, install_toys, picture, serving, toy

HALF_AN_UPLOAD = (
    b"POST /upload/image HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
)
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def test_a_picture_comes_back(server):
    run = server.submit(picture())
    entry = server.finished(run)
    (image,) = next(iter(entry["outputs"].values()))["images"]

    assert entry["status"]["status_str"] == "success"
    shown = server.get(f"/view?filename={image['filename']}&type=output")
    assert shown.data == (server.output / image["filename"]).read_bytes()
    assert shown.headers["Content-Type"] == "image/png"


def test_a_video_is_uploaded_taken_apart_and_comes_back(server):
    made = write_video(VideoFrames(torch.rand(4, 32, 32, 3), 8.0), H264, {}, Bench(server.home))
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.mp4"\r\n\r\n'
    kind = "multipart/form-data; boundary=b"
    name = server.post("/upload/image", body + made + b"\r\n--b--\r\n", Content_Type=kind).json[
        "name"
    ]
    parts = {"images": ["2", 0], "fps": ["2", 2]}
    prompt = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": name}},
        "2": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "3": {"class_type": "CreateVideo", "inputs": parts},
        "4": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["3", 0], "filename_prefix": "v/a"}
            | {"format": "auto", "codec": "auto"},
        },
    }

    outputs = server.finished(server.submit(prompt))["outputs"]["4"]

    (video,) = outputs["images"]
    assert (video["filename"], video["subfolder"]) == ("a_00001_.mp4", "v")
    shown = server.get(f"/view?filename={video['filename']}&subfolder=v&type=output")
    assert shown.headers["Content-Type"] == "video/mp4"
    assert json.loads(texts_of(shown.data)["prompt"]) == prompt


def test_a_node_of_an_installed_pack_runs(server):
    entry = server.finished(server.submit(toy(value=7)))

    assert entry["outputs"]["2"] == {"text": ["7"]}


def test_an_error_in_a_node_is_told_with_the_node(server):
    prompt = {
        "1": {"class_type": "ToyFail", "inputs": {"a": 5}},
        "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
    }

    entry = server.finished(server.submit(prompt))

    (error,) = [data for name, data in entry["status"]["messages"] if name == "execution_error"]
    assert entry["status"]["status_str"] == "error"
    assert (error["node_id"], error["node_type"]) == ("1", "ToyFail")
    assert "no 5" in error["exception_message"]


def test_stops_at_once_though_somebody_listens(tmp_path):
    async def listen(server):
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{server.socket_url}?clientId=me") as socket,
        ):
            await socket.receive()
            started = time.monotonic()
            stopping = asyncio.create_task(asyncio.to_thread(server.stop))
            async for _ in socket:
                pass
            return await stopping, time.monotonic() - started

    install_toys(tmp_path)
    with serving(tmp_path, environment=TOYS, ready=False) as server:
        code, seconds = asyncio.run(listen(server))

    assert code == 0
    assert seconds < 10


def test_clients_that_stop_half_way_do_not_hold_up_the_end(tmp_path):
    install_toys(tmp_path)
    with serving(tmp_path, environment=TOYS, ready=False) as server:
        there = urlsplit(server.url)
        with (
            socket.create_connection((there.hostname, there.port)) as upload,
            socket.create_connection((there.hostname, there.port)) as listener,
        ):
            upload.sendall(HALF_AN_UPLOAD)
            listener.sendall(UPGRADE)
            assert b"101 Switching" in listener.recv(1000)
            started = time.monotonic()
            code = server.stop()

    assert code == 0
    assert time.monotonic() - started < 20


def test_previews_of_earlier_servers_are_gone(tmp_path):
    install_toys(tmp_path)
    old = tmp_path / "data" / "temp" / "old.png"
    old.parent.mkdir(parents=True)
    old.touch()
    environment = TOYS | {"NODEGRAPH_TEMP_DIR": ""}

    with serving(tmp_path, (), environment, ready=False):
        assert not old.exists()
