"""Requests to a server that is hostile, broken or elsewhere; over a real socket."""

import asyncio
import io
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientError, web
from yarl import URL

from server.workers.comfyui import connection
from server.workers.comfyui.addresses import ServerAddress
from server.workers.comfyui.connection import ComfyConnection
from server.workers.comfyui.errors import ComfyAnswerError

ELSEWHERE = []
TEXT = [b""]


async def answer(request):
    """Answer as the path's last part says."""
    if request.path == "/elsewhere":
        ELSEWHERE.append(dict(request.headers))
    told = {
        "/object_info": web.Response(status=302, headers={"Location": "/elsewhere"}),
        "/ws": web.Response(status=302, headers={"Location": "/elsewhere"}),
        "/queue": web.Response(text="no JSON"),
        "/history/deep": web.Response(text="[" * 200_000),
        "/history/gone": web.Response(status=503),
        "/history/odd": web.json_response({"odd": ["no entry"]}),
        "/text/queue": web.Response(body=TEXT[0]),
        "/text/prompt": web.Response(body=TEXT[0]),
        "/types/object_info": web.json_response({"A": {}, "B": {"input": [1, {"c": None}]}}),
        "/view": web.Response(body=bytes(100)),
        "/upload/image": web.json_response({"name": 3}),
        "/prompt": web.Response(status=401),
    }
    return told.get(request.path, web.json_response({}))


@asynccontextmanager
async def connected(below=""):
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = URL(f"http://127.0.0.1:{runner.addresses[0][1]}{below}")
    there = ComfyConnection(ServerAddress("main", url, {"X-Secret": "hunter2"}), "me")
    try:
        yield there
    finally:
        await there.close()
        await runner.cleanup()


CASES = {
    "object_info": (lambda c: c.object_info(), "Redirects are not followed"),
    "ws": (lambda c: c.connect(), "Redirects are not followed"),
    "queue": (lambda c: c.standing("x"), "GET /queue is not JSON"),
    "deep": (lambda c: c.history("deep"), "is not JSON"),
    "upload": (lambda c: c.upload(io.BytesIO(b"x"), "x", ""), "named no file"),
    "prompt": (lambda c: c.submit({}), "set it in comfyui_headers"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_answer_is_told_and_leads_nowhere(name):
    ask, text = CASES[name]

    async def scenario():
        async with connected() as there:
            await ask(there)

    with pytest.raises(ComfyAnswerError, match=text) as caught:
        asyncio.run(scenario())

    assert "hunter2" not in str(caught.value)
    assert ELSEWHERE == []


BROKEN = [
    *("", "{", '{"a": 1', '{"a": 1,}', '{"a" 1}', "{a: 1}", "{1: 2}", '{"a": 1}x', "{,}", '{"a":}'),
    *('{"a": 1 "b": 2}', '{"a": 1}}', "[1,]", '{"a": 1,, "b": 2}', '{"a": 1]', '{"a": "'),
]


@pytest.mark.parametrize("text", BROKEN)
def test_an_answer_that_is_no_json_is_told(text):
    TEXT[0] = text.encode()

    async def scenario():
        async with connected("/text") as there:
            await there.standing("p")

    with pytest.raises(ComfyAnswerError, match="GET /queue is not JSON"):
        asyncio.run(scenario())


@pytest.mark.parametrize("before", ["", " \n", "\ufeff"])
def test_an_answer_is_read_whatever_space_there_is(before):
    TEXT[0] = f'{before}{{ "x":[] , "queue_pending"\t:\n[[1,"p"]],"y": {{}}\r\n}} \n'.encode()

    async def scenario():
        async with connected("/text") as there:
            return await there.standing("p"), await there.standing("q")

    assert asyncio.run(scenario()) == ("pending", "")


def test_descriptions_that_are_known_are_not_read_again():
    async def scenario():
        async with connected("/types") as there:
            found = await there.object_info()
            assert found
            return found[1], await there.object_info(found[0])

    described = {"A": {}, "B": {"input": [1, {"c": None}]}}
    assert asyncio.run(scenario()) == (described, None)


@pytest.mark.parametrize("answer", [b"{}", b"[]", b'{"prompt_id": 3}'])
def test_an_answer_that_names_no_prompt_is_told(answer):
    TEXT[0] = answer

    async def scenario():
        async with connected("/text") as there:
            await there.submit({})

    with pytest.raises(ComfyAnswerError, match="POST /prompt named no prompt"):
        asyncio.run(scenario())


def test_a_proxy_that_finds_no_server_counts_as_no_connection():
    async def scenario():
        async with connected() as there:
            await there.history("gone")

    with pytest.raises(ClientError, match="503"):
        asyncio.run(scenario())


def test_answers_and_files_have_a_largest_size(monkeypatch):
    monkeypatch.setattr(connection, "MOST_JSON", 1000)

    async def scenario():
        async with connected() as there:
            assert await there.history("odd") is None
            await there.history("deep")

    with pytest.raises(ComfyAnswerError, match="has more than"):
        asyncio.run(scenario())


def test_a_file_of_just_the_largest_size_is_taken():
    async def scenario():
        async with connected() as there:
            whole = await there.download({"filename": "x"}, io.BytesIO(), 100)
            return whole, await there.download({"filename": "x"}, io.BytesIO(), 99)

    assert asyncio.run(scenario()) == (True, False)
