"""Names that lead out of their folder lead nowhere, on every route that takes one."""

import http.client
import re
from urllib.parse import quote, urlencode, urlsplit

import pytest

from tests.server.routing import routes

CANARY = b"canary-2291-outside"
SHALLOW = ("..", "../..", "../../..", "../../../..")


@pytest.fixture(scope="module")
def outside(server):
    """A file beside the server's folders, and links to it in each of them."""
    secret = server.home / "secret.txt"
    secret.write_bytes(CANARY)
    for folder in ("input", "output", "data/editor/files", "models/checkpoints"):
        place = server.home / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / "link.txt").symlink_to(secret)
        (place / "up").symlink_to(server.home)
    yield secret
    for folder in ("input", "output", "data/editor/files", "models/checkpoints"):
        (server.home / folder / "link.txt").unlink()
        (server.home / folder / "up").unlink()


def names(secret):
    """What leads to the file, if it leads anywhere."""
    yield from (f"{up}/secret.txt" for up in SHALLOW)
    yield from (f"{up}/secret.txt".replace("/", "\\") for up in SHALLOW)
    yield from (str(secret), f"file://{secret}", f"//{secret}", f"C:{secret}", f"\\\\host{secret}")
    yield from ("link.txt", "up/secret.txt", "x/../../secret.txt", "....//secret.txt")
    yield from (
        "../secret.txt\0.png",
        "..\u2215secret.txt",
        "../secret.txt [output]",
        "..;/secret.txt",
    )


def spellings(name):
    """A name as it may stand in an address."""
    once = quote(name, safe="")
    yield from (once, quote(once, safe=""), quote(name, safe="/"), once.replace("%2F", "%2f"))


def paths(pattern, name):
    """A route's paths with a name in all of its places, and with its folder in all but the last."""
    folder, _, last = name.replace("\\", "/").rpartition("/")
    for spelt, above in zip(spellings(name), spellings(folder), strict=True):
        whole = re.sub(r"\{[^}]*\}", lambda _, text=spelt: text, pattern)
        yield whole
        if pattern.count("{") > 1:
            apart = re.sub(r"\{[^}]*\}", lambda _, text=above: text, pattern)
            yield f"{apart.removesuffix(above)}{quote(last, safe='')}"


def asked(server, method, path, body=b""):
    """A request whose path nobody tidies up."""
    there = urlsplit(server.url)
    connection = http.client.HTTPConnection(there.hostname, there.port, timeout=30)
    try:
        connection.putrequest(method, path)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def files(server):
    """Everything outside of where requests may write."""
    inside = ("input", "output", "data", "log.txt")
    return {
        path
        for path in server.home.rglob("*")
        if path.relative_to(server.home).parts[0] not in inside
    }


def test_no_path_leads_out(server, outside, tmp_path):
    before, wrong = files(server), []
    taking = [
        route
        for route in routes(tmp_path)
        if "{" in route.path and route.method != "HEAD" and not route.path.startswith("/api/")
    ]
    for route in taking:
        for name in names(outside):
            for path in paths(route.path, name):
                status, data = asked(server, route.method, path, CANARY[::-1])
                if CANARY in data or status >= 500:
                    wrong.append((route, name, status, data[:100]))

    assert wrong == []
    assert outside.read_bytes() == CANARY
    assert files(server) == before


QUERIES = [
    "/view?{}",
    "/view?preview=webp&{}",
    "/view?channel=rgb&{}",
    "/view_metadata/checkpoints?{}",
    "/userdata?{}",
    "/v2/userdata?{}",
    "/experiment/models/preview/checkpoints/0/x?{}",
]
KEYS: tuple[str, ...] = ("filename", "subfolder", "dir", "path", "type")


@pytest.mark.parametrize("route", QUERIES)
def test_no_query_leads_out(server, outside, route):
    wrong = []
    for name in names(outside):
        folder = name.rpartition("/")[0] or name
        for kind in ("input", "output", "temp"):
            for query in (
                {"filename": name, "type": kind},
                {"filename": "secret.txt", "subfolder": folder, "type": kind},
                {"dir": folder, "path": folder, "recurse": "true"},
                dict.fromkeys(KEYS, name),
            ):
                status, data = asked(server, "GET", route.format(urlencode(query)))
                if CANARY in data or b'"log.txt"' in data or status >= 500:
                    wrong.append((query, status, data[:200]))

    assert wrong == []


READERS = {
    "LoadImage": "image",
    "LoadLatent": "latent",
    "CheckpointLoaderSimple": "ckpt_name",
    "LoraLoaderModelOnly": "lora_name",
}
BLANK = {"width": 16, "height": 16, "batch_size": 1, "color": 0}


def test_no_prompt_reads_or_writes_outside(server, outside):
    before, wrong = files(server), []
    for name in (*names(outside), "up/new"):
        for kind, key in READERS.items():
            prompt = {
                "1": {"class_type": kind, "inputs": {key: name}},
                "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
            }
            reply = server.post("/prompt", {"prompt": prompt})
            if reply.status != 400 or CANARY in reply.data:
                wrong.append((name, kind, reply.data))
        inputs = {"images": ["1", 0], "filename_prefix": name}
        prompt = {
            "1": {"class_type": "EmptyImage", "inputs": BLANK},
            "2": {"class_type": "SaveImage", "inputs": inputs},
        }
        reply = server.post("/prompt", {"prompt": prompt})
        if reply.status == 200:
            server.finished(reply.json["prompt_id"])

    assert wrong == []
    assert files(server) == before
