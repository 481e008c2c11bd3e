"""The access log: who asked for what, and how it was answered; none of their secrets."""

import json

import pytest

from tests.server.serving import TOYS, install_toys, serving, toy, until

ANN = "a-very-secret-token-of-ann"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A server that has answered a few requests; the requests that it logged, by path."""
    home = tmp_path_factory.mktemp("access")
    install_toys(home)
    (home / "tokens").write_text(f"ann: {ANN}\n")
    (home / "tokens").chmod(0o600)
    flags = ["--token-file", str(home / "tokens"), "--log-format", "json"]
    with serving(home, [*flags, "--log-level", "server.access=debug"], TOYS) as server:
        ann = server.of(ANN)
        made = ann.post("/v1/runs", {"workflow": toy()}, traceparent=TRACE)
        run = made.json["id"]
        ann.get(f"/v1/runs/{run}")
        ann.get(f"/v1/runs/{run}/workflow", traceparent=f"00-{ANN}")
        ann.submit(toy())
        ann.get("/no/such/path")
        ann.ask("HEAD", "/user.css")
        assert server.get("/metrics").status == 401
        assert ann.get("/metrics").status == 200
        server.get(f"/login?token={ANN}")
        log = until(lambda: "/login" in (text := (home / "log.txt").read_text()) and text)
    lines = [json.loads(line) for line in log.splitlines()]
    found = {line["path"]: line for line in lines if line["room"] == "server.access"}
    return found, run, made, log


def test_a_request_is_logged_with_its_run_its_owner_and_its_trace(logged):
    found, run, made, _ = logged
    line = found["/v1/runs"]

    assert line.pop("time")
    assert line.pop("ms") > 0
    assert line.pop("message").startswith("127.0.0.1 POST /v1/runs: 201 in ")
    assert line == {
        "level": "debug",
        "room": "server.access",
        "run": run,
        "remote": "127.0.0.1",
        "method": "POST",
        "path": "/v1/runs",
        "route": "/v1/runs",
        "status": 201,
        "bytes": len(made.data),
        "owner": "ann",
        "traceparent": TRACE,
    }


def test_the_route_is_the_same_for_all_runs(logged):
    found, run, *_ = logged
    line = found[f"/v1/runs/{run}"]

    assert (line["route"], line["run"], line["status"]) == ("/v1/runs/{run}", run, 200)
    assert "run" in found["/prompt"]


def test_what_has_no_route_no_owner_or_no_body_is_logged_without(logged):
    found, *_ = logged

    assert (found["/no/such/path"]["status"], "route" in found["/no/such/path"]) == (404, False)
    assert "owner" not in found["/login"]
    assert found["/user.css"]["bytes"] == 0


def test_no_secret_is_logged(logged):
    found, run, _, log = logged

    assert found["/metrics"]["status"] == 200
    assert "traceparent" not in found[f"/v1/runs/{run}/workflow"]
    assert ANN not in log
