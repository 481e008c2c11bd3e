"""A server whose object store hangs, refuses or is away: it answers, and tells no secrets."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from tests.object_stores.failing import FailingProxy, refusal
from tests.server.serving import TOYS, install_toys, serving

AWAY = refusal("500 Internal Server Error", "InternalError")
RIGHTS = refusal("403 Forbidden", "AccessDenied")
TOKENS = {"ann": "canary-token-of-ann-2231", "bob": "canary-token-of-bob-7710"}


def file(number):
    """A prompt that saves a file."""
    inputs = {"a": number, "prefix": "day/x", "megabytes": 0.0}
    return {"1": {"class_type": "ToyFile", "inputs": inputs}}


@pytest.fixture(scope="module")
def proxy(object_store):
    with closing(FailingProxy(object_store.endpoint)) as opened:
        yield opened


@pytest.fixture(scope="module")
def ann(tmp_path_factory, object_store, proxy):
    """A user of a server behind that proxy, which keeps trying for half a second."""
    home = tmp_path_factory.mktemp("troubles")
    install_toys(home)
    (home / "tokens").write_text("".join(f"{name}: {text}\n" for name, text in TOKENS.items()))
    variables = {
        "NODEGRAPH_CACHE_DIR": str(home / "cache"),
        "NODEGRAPH_OBJECT_ENDPOINT": proxy.endpoint,
        "NODEGRAPH_OBJECT_PATIENCE": "0.5",
    }
    flags = [
        f"--{kind}-dir={object_store.place(f'troubles/{kind}')}" for kind in ("input", "output")
    ]
    flags += ["--token-file", str(home / "tokens"), "--log-level", "debug"]
    with serving(home, flags, TOYS | object_store.environment | variables) as running:
        yield running.of(TOKENS["ann"])


@pytest.fixture(autouse=True)
def well(proxy):
    """The store is well before and after each test."""
    yield
    proxy.trouble = None


@pytest.fixture(scope="module")
def saved(ann):
    """A run that has saved a file."""
    run = ann.submit(file(0))
    assert ann.finished(run)["status"]["status_str"] == "success"
    return run


def test_a_run_fails_with_a_clear_line_while_nothing_can_be_written(
    ann, saved, proxy, object_store
):
    before = object_store.keys("troubles/output")
    proxy.trouble = lambda method, ask: RIGHTS if method == "PUT" else ask()
    run = ann.submit(file(1))
    failed = ann.finished(run)
    proxy.trouble = None
    again = ann.finished(ann.submit(file(2)))

    error = ann.get(f"/v1/runs/{run}").json["error"]
    assert failed["status"]["status_str"] == "error"
    assert error["code"] == "object_store"
    assert "may not do that" in error["message"]
    assert again["status"]["status_str"] == "success"
    assert len(object_store.keys("troubles/output")) == len(before) + 1


def test_routes_say_503_while_the_store_is_away(ann, saved, proxy):
    paths = [
        "/view?filename=x_00001_.txt&subfolder=day",
        "/view?filename=x.png&preview=webp",
        "/internal/files/output",
        f"/v1/runs/{saved}/outputs/0",
    ]
    proxy.trouble = lambda method, ask: AWAY
    away = {path: ann.get(path) for path in paths}
    proxy.trouble = None

    assert {path: reply.status for path, reply in away.items()} == dict.fromkeys(paths, 503)
    assert not [reply for reply in away.values() if b"it answers 500" not in reply.data]
    assert ann.get(paths[0]).data == ann.get(paths[3]).data == b"0\n"


def test_a_store_that_hangs_holds_up_nothing_else(ann, saved, proxy):
    released = threading.Event()

    def hang(method, ask):
        released.wait()
        return ask()

    proxy.trouble = hang
    path = "/view?filename=x_00001_.txt&subfolder=day"
    with ThreadPoolExecutor(40) as clients, ExitStack() as stack:
        stack.callback(released.set)
        views = [clients.submit(ann.get, path) for _ in range(40)]
        run = ann.submit({"1": {"class_type": "ToyShow", "inputs": {"a": 5}}})
        done = ann.finished(run)
        others = [ann.get(path).status for path in ("/queue", "/", f"/v1/runs/{run}", "/v1/models")]
        still = [view.done() for view in views]
        released.set()
        answers = [view.result().status for view in views]

    assert done["status"]["status_str"] == "success"
    assert others == [200] * 4
    assert not any(still)
    assert answers == [200] * 40


def test_another_owner_s_outputs_can_not_be_had(ann, saved, object_store):
    bob = ann.of(TOKENS["bob"])
    paths = [
        f"/v1/runs/{saved}/outputs/0",
        "/view?filename=x_00001_.txt&subfolder=day",
        "/view?filename=x_00001_.txt&subfolder=../ann/day",
        "/view?filename=ann/day/x_00001_.txt",
        "/view?filename=..%2Fann%2Fday%2Fx_00001_.txt",
    ]

    replies = {path: bob.get(path) for path in paths}

    assert "troubles/output/ann/day/x_00001_.txt" in object_store.keys("troubles/output")
    assert ann.get(paths[1]).status == 200
    assert {reply.status for reply in replies.values()} <= {400, 403, 404}
    assert bob.get("/internal/files/output").json == []


def test_no_reply_and_no_log_has_the_store_s_secret_in_it(ann, saved, proxy, object_store):
    proxy.trouble = lambda method, ask: AWAY
    run = ann.submit(file(9))
    ann.finished(run)
    texts = [
        ann.get(path).data.decode(errors="replace")
        for path in (
            f"/v1/runs/{run}",
            f"/history/{run}",
            "/view?filename=x_00001_.txt&subfolder=day",
            "/system_stats",
            "/metrics",
        )
    ]
    log = (ann.home / "log.txt").read_text()

    assert "object_store" in texts[0]
    assert "failed (object_store)" in log
    assert not [text for text in (*texts, log) if object_store.secret in text]
    assert not re.search(r"Signature=|sig=|SharedKey ", log)
