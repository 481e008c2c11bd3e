"""Files from an object store are answered as those of local folders are, by a real server."""

import io
import random
import re
import urllib.error
import urllib.request
from contextlib import closing
from urllib.parse import quote, urlencode

import pytest
from PIL import Image

from tests.object_stores.failing import FailingProxy
from tests.server.serving import TOYS, install_toys, serving

IGNORED = ("date", "last-modified", "etag", "server")
PNG = "holiday é.png"


def picture():
    """A picture that is larger than one piece of a stream."""
    noise = random.Random(1).randbytes(512 * 400 * 3)
    data = io.BytesIO()
    Image.frombytes("RGB", (512, 400), noise).save(data, "PNG")
    return data.getvalue()


CONTENTS = {
    ("output", PNG): picture(),
    ("output", "day/page.html"): b"<script>alert(1)</script>" * 100,
    ("output", "empty.txt"): b"",
    ("input", "photo.png"): picture(),
}


def form(name, data, **fields):
    """A form with a file, and the header that says so."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--edge\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    body = b"".join([*parts, head.encode(), data, b"\r\n--edge--\r\n"])
    return body, {"Content-Type": "multipart/form-data; boundary=edge"}


def upload(server, name, data, **fields):
    """The reply to an upload."""
    body, headers = form(name, data, **fields)
    return server.ask("POST", "/upload/image", body, headers)


def view(server, name, kind="output", headers=None, **more):
    """The reply for a file."""
    folder, _, filename = name.rpartition("/")
    query = {"filename": filename, "subfolder": folder, "type": kind, **more}
    return server.ask("GET", f"/view?{urlencode(query)}", headers=headers)


def facts(reply):
    """All of a reply that has to be the same."""
    headers = {name: text for name, text in reply.headers.items() if name.lower() not in IGNORED}
    return reply.status, headers, reply.data


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A server with local folders."""
    home = tmp_path_factory.mktemp("local")
    install_toys(home)
    with serving(home, environment=TOYS, ready=False) as running:
        _fill(running)
        yield running


@pytest.fixture(scope="module")
def remote(tmp_path_factory, object_store):
    """A server with its folders in an object store."""
    home = tmp_path_factory.mktemp("remote")
    install_toys(home)
    with serving(
        home, places(object_store, "parity"), environment_of(home, object_store), ready=False
    ) as running:
        _fill(running)
        yield running


def places(store, prefix):
    """The flags for folders below a prefix."""
    return [
        *("--input-dir", store.place(f"{prefix}/in")),
        *("--output-dir", store.place(f"{prefix}/out")),
    ]


def environment_of(home, object_store):
    """The variables of a server that finds the store."""
    return TOYS | object_store.environment | {"NODEGRAPH_CACHE_DIR": str(home / "cache")}


def _fill(server):
    for (kind, name), data in CONTENTS.items():
        folder, _, filename = name.rpartition("/")
        reply = upload(server, filename, data, type=kind, subfolder=folder)
        assert reply.json == {"name": filename, "subfolder": folder, "type": kind}


@pytest.mark.parametrize("range_", ["", "0-9", "100-", "-7", "5-5", "0-99999999", "9999999-", "x"])
@pytest.mark.parametrize(("kind", "name"), CONTENTS)
def test_files_and_ranges_are_the_same_from_both(local, remote, kind, name, range_):
    headers = {"Range": f"bytes={range_}"} if range_ else {}

    one, other = (view(server, name, kind, headers) for server in (local, remote))

    assert facts(one) == facts(other)
    assert ("Etag" in one.headers) == ("Etag" in other.headers)
    if not range_:
        assert other.data == CONTENTS[kind, name]


@pytest.mark.parametrize(
    ("condition", "status"),
    [("If-None-Match", 304), ("If-Match", 200), ("If-Modified-Since", 304)],
)
def test_conditions_are_the_same_from_both(local, remote, condition, status):
    for server in (local, remote):
        first = view(server, PNG)
        tag = first.headers["Last-Modified" if "Since" in condition else "Etag"]

        kept = view(server, PNG, headers={condition: tag})
        changed = view(server, PNG, headers={condition: '"other"'})

        assert kept.status == status
        assert changed.status == (412 if condition == "If-Match" else 200)


@pytest.mark.parametrize(
    "more", [{"preview": "webp;50"}, {"preview": "jpeg"}, {"channel": "rgb"}, {"channel": "a"}]
)
def test_previews_and_channels_are_the_same_from_both(local, remote, more):
    assert facts(view(local, PNG, **more)) == facts(view(remote, PNG, **more))


@pytest.mark.parametrize(
    "name",
    [
        "missing.png",
        "../in/photo.png",
        "..%2fin%2fphoto.png",
        "/etc/passwd",
        "a/../../in/photo.png",
    ],
)
def test_no_name_leads_out_of_the_prefix(local, remote, name):
    for path in (f"/view?filename={quote(name)}", f"/view?filename=photo.png&subfolder={name}"):
        one, other = (server.get(path) for server in (local, remote))

        assert one.status == other.status >= 400
        assert b"PNG" not in other.data


def test_uploads_and_lists_are_the_same_on_both(local, remote):
    for server in (local, remote):
        names = [upload(server, "a.png", data).json["name"] for data in (b"1", b"2", b"1")]
        assert names == ["a.png", "a (1).png", "a.png"]
        assert {"a.png", "a (1).png", "photo.png"} <= {*server.get("/internal/files/input").json}


def test_outputs_of_a_run_come_from_the_store(remote, object_store):
    remote.ready()
    inputs = {"a": 7, "prefix": "day/run", "megabytes": 0.0}
    nodes = {"1": {"class_type": "ToyFile", "inputs": inputs}}
    run = remote.submit(nodes)
    done = remote.finished(run)

    listed = remote.get(f"/v1/runs/{run}/outputs").json["outputs"]
    got = remote.get(listed[0]["url"])

    assert done["status"]["status_str"] == "success"
    assert listed[0]["filename"] == "run_00001_.txt"
    assert (got.status, got.data) == (200, b"7\n")
    assert object_store.content("parity/out/day/run_00001_.txt") == b"7\n"
    assert not [*remote.output.rglob("*.txt")]


@pytest.mark.slow
def test_a_signed_address_is_given_if_the_settings_say_so(object_store, tmp_path):
    install_toys(tmp_path)
    variables = environment_of(tmp_path, object_store) | {"NODEGRAPH_SERVER_SIGNED_URLS": "60"}
    with serving(tmp_path, places(object_store, "signed"), variables, ready=False) as server:
        for name in (PNG, "plain.png", "page.html"):
            upload(server, name, CONTENTS["output", PNG], type="output")

        got = {name: view(server, name) for name in (PNG, "plain.png", "page.html")}

        assert {reply.data for reply in got.values()} == {CONTENTS["output", PNG]}
        headers = {name: _lower(reply.headers) for name, reply in got.items()}
        assert headers["plain.png"]["content-type"] == "image/png"
        assert headers["page.html"]["content-disposition"].startswith("attachment")
        request = urllib.request.Request(f"{server.url}/view?filename=plain.png")
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.build_opener(_NoRedirects).open(request)
        with answer.value as redirect:
            assert redirect.code == 302
            assert redirect.headers["Cache-Control"] == "no-store"
            assert redirect.headers["Location"].startswith(object_store.endpoint)
            assert re.search(object_store.expires, redirect.headers["Location"])
        log = (tmp_path / "log.txt").read_text()
        assert not re.search("Signature=|sig=", log)


def _lower(headers):
    return {name.lower(): text for name, text in headers.items()}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        return None


def test_a_wrong_setting_ends_the_start_in_one_line(object_store, tmp_path):
    install_toys(tmp_path)
    variables = environment_of(tmp_path, object_store)
    flags = [*places(object_store, "x")[:2], "--output-dir", object_store.place("out", "not-there")]

    with (
        pytest.raises(AssertionError, match=r"no such (bucket|container)") as caught,
        serving(tmp_path, flags, variables),
    ):
        pass

    told = [line for line in str(caught.value).splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert f"setting 'output_dir': {object_store.scheme}://not-there" in told[0]
    assert object_store.secret not in str(caught.value)


@pytest.mark.slow
def test_runs_lose_and_double_nothing_while_each_fifth_request_fails(object_store, tmp_path):
    install_toys(tmp_path)
    variables = environment_of(tmp_path, object_store)
    with (
        closing(FailingProxy(object_store.endpoint)) as proxy,
        serving(
            tmp_path,
            places(object_store, "failing"),
            variables | {"NODEGRAPH_OBJECT_ENDPOINT": proxy.endpoint},
        ) as server,
    ):
        proxy.every = 5
        runs = [
            server.submit(
                {
                    "1": {
                        "class_type": "ToyFile",
                        "inputs": {"a": n, "prefix": "r", "megabytes": 0.1},
                    }
                }
            )
            for n in range(100)
        ]
        ended = [server.finished(run) for run in runs]
        proxy.every = 0

    saved = [item["outputs"]["1"]["text_files"][0]["filename"] for item in ended]
    keys = object_store.keys("failing/out")
    contents = [object_store.content(f"failing/out/{name}") for name in saved]
    print(f"{proxy.requests} requests, {proxy.failed} failed; {len(keys)} objects for 100 runs")
    assert {item["status"]["status_str"] for item in ended} == {"success"}
    assert proxy.failed > 15
    assert sorted(f"failing/out/{name}" for name in saved) == [
        key for key in keys if not key.endswith(".nodegraph")
    ]
    assert [data.split(b"\n")[0] for data in contents] == [str(n).encode() for n in range(100)]
    assert {len(data) for data in contents} <= {104859, 104860}
