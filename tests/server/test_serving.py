"""The whole way: over HTTP into the queue, through a worker process, and back."""

import asyncio
import time

import aiohttp

from tests.server.serving import install_toys, picture, serving, toy


def test_a_picture_comes_back(server):
    run = server.submit(picture())
    entry = server.finished(run)
    (image,) = next(iter(entry["outputs"].values()))["images"]

    assert entry["status"]["status_str"] == "success"
    shown = server.get(f"/view?filename={image['filename']}&type=output")
    assert shown.data == (server.output / image["filename"]).read_bytes()
    assert shown.headers["Content-Type"] == "image/png"


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

    with serving(tmp_path, ready=False) as server:
        code, seconds = asyncio.run(listen(server))

    assert code == 0
    assert seconds < 10


def test_previews_of_earlier_servers_are_gone(tmp_path):
    install_toys(tmp_path)
    old = tmp_path / "data" / "temp" / "old.png"
    old.parent.mkdir(parents=True)
    old.touch()
    environment = {"NODEGRAPH_PACKS": "toys", "NODEGRAPH_TEMP_DIR": ""}

    with serving(tmp_path, (), environment, ready=False):
        assert not old.exists()
