"""Traces of a real server, by OTLP over HTTP to a real collector; and servers that have none."""

import re
import subprocess
import sys
from contextlib import ExitStack

import pytest

from nodegraph.errors import SettingsError
from server.lifecycle.tracing import EXPORTER, VARIABLES, open_tracing
from tests.server.collector import SAMPLED, SPAN, TRACE, collecting
from tests.server.serving import ROOT, TOYS, ended, install_toys, picture, serving, toy, until

PARENT = {**SAMPLED, "tracestate": "rojo=1"}
SERVER = 2
"""The kind of a span that answers a request."""
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
"""Spans are sent after so many milliseconds."""
LOST = "traces do not reach the collector"
SECRET = "canary-prompt-5512"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("traces")
    install_toys(home)
    return home


@pytest.fixture(scope="module")
def story(home):
    """What a collector got of a server that was killed in the middle of a run, and of the next.

    In the end the collector is gone, and the server goes on.
    """
    with ExitStack() as listening:
        collector = listening.enter_context(collecting())
        environment = {**TOYS, **SOON, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with serving(home, ("--device", "cpu"), environment) as server:
            server.get("/healthz")
            server.get("/nowhere?token=secret")
            failing = {
                "1": {"class_type": "ToyFail", "inputs": {"a": 1}},
                "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
                "3": {"class_type": "ToyWrite", "inputs": {"text": SECRET}},
            }
            server.finished(server.submit(failing))
            body = {"prompt": toy(steps=100), "client_id": "me"}
            run = server.ask("POST", "/prompt", body, PARENT).json["prompt_id"]
            until(lambda: server.get(f"/v1/runs/{run}").json["status"] == "running")
            until(lambda: collector.named("queue wait")[1:])
            server.kill()
        with serving(
            home, ("--device", "cpu"), {**environment, "OTEL_SERVICE_NAME": "second"}
        ) as s:
            assert ended(s, run)["status"] == "succeeded"
            until(lambda: collector.named("run")[1:])
            listening.close()
            for number in range(3):
                assert s.finished(s.submit(toy(value=number)))
                until(lambda: LOST in (home / "log.txt").read_text())
            assert s.stop() == 0
    return collector


def test_a_trace_begins_with_the_clients_and_goes_on_after_a_kill(story):
    (request,) = [span for span in story.named("POST /prompt") if span.trace == TRACE]
    (run,) = story.below(request)
    first_wait, first, second_wait, second = story.below(run)

    assert (request.parent, request.kind, request.service) == (SPAN, SERVER, "nodegraph")
    assert request.facts["nodegraph.run.id"] == run.facts["nodegraph.run.id"]
    assert (run.name, run.service, run.facts["nodegraph.client"]) == ("run", "second", "me")
    assert run.facts["nodegraph.run.attempts"] == 2
    assert {span.state for span in (request, run, first_wait, second)} == {"rojo=1"}
    assert [span.name for span in (first_wait, first)] == ["queue wait", "attempt"]
    assert [span.name for span in (second_wait, second)] == ["queue wait", "attempt"]
    assert [span.service for span in (first_wait, first)] == ["nodegraph", "second"]
    assert re.fullmatch("the server (was stopped|.* was lost)", first.message)
    assert not second.failed
    assert [span.name for span in story.below(second)] == ["ToySteps", "ToyShow"]
    for parent in (run, second):
        for child in story.below(parent):
            assert parent.begin <= child.begin <= child.end <= parent.end
    assert second_wait.begin >= first_wait.end


def test_a_failed_node_has_its_error_and_no_span_has_a_prompt(story):
    (failed,) = story.named("ToyFail")
    ((name, exception),) = failed.events

    assert (failed.failed, name) == (True, "exception")
    assert exception["exception.type"] == failed.facts["error.type"] == "node_failed"
    assert "no 1" in exception["exception.message"]
    assert SECRET not in repr(story.spans)
    assert len({span.trace for span in story.named("run")}) == 2


def test_requests_are_named_by_their_routes_and_probes_are_left_out(story):
    nowhere = next(span for span in story.named() if span.facts.get("url.path") == "/nowhere")

    assert nowhere.facts["http.response.status_code"] == 404
    assert (nowhere.name, nowhere.parent, nowhere.failed) == ("GET", "", False)
    assert "secret" not in repr(story.spans)
    assert "GET /v1/runs/{run}" in {span.name for span in story.spans}
    assert "/healthz" not in {span.facts.get("url.path") for span in story.spans}
    assert {*story.requests} == {("/v1/traces", "application/x-protobuf")}


def test_a_collector_that_is_away_costs_one_warning(story, home):
    log = (home / "log.txt").read_text()

    assert log.count(LOST) == 1
    assert log.count("opentelemetry") == 0
    assert "Traceback" not in log


def test_a_server_without_the_extra_says_what_to_install(monkeypatch, caplog):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert open_tracing("") is None
    for name in [name for name in sys.modules if name.startswith("server.observability.tracing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(SettingsError) as caught:
        open_tracing("http://127.0.0.1:4318")
    assert str(caught.value).startswith("server.traces needs the package opentelemetry")
    assert caught.value.hint == "Install the extra: nodegraph[otel]."
    monkeypatch.setenv(VARIABLES[0], "http://127.0.0.1:4318")
    assert open_tracing("") is None
    (record,) = caplog.records
    assert "Install the extra: nodegraph[otel]." in record.getMessage()
    monkeypatch.setenv(EXPORTER, "none")
    assert open_tracing("") is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize("address", ["collector:4318", "http://", "grpc://collector:4317"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(SettingsError, match="no address of a collector"):
        open_tracing(address)


def test_a_variable_that_opentelemetry_refuses_ends_the_start_with_one_line(monkeypatch):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "-1")

    with pytest.raises(SettingsError, match="schedule_delay_millis must be positive"):
        open_tracing("http://127.0.0.1:4318")


def test_a_server_without_traces_imports_none_of_it():
    program = "import sys, server.lifecycle.run; print('opentelemetry' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["False"]


@pytest.mark.slow
def test_loads_of_networks_are_below_the_nodes_that_need_them(tmp_path):
    with collecting() as collector:
        environment = {"NODEGRAPH_SERVER_TRACES": collector.url}
        with serving(tmp_path, ("--device", "cpu"), environment) as server:
            server.finished(server.submit(picture()))
    for name, network in (("KSampler", "U-Net"), ("VAEDecode", "VAE")):
        (load,) = collector.below(collector.one(name))
        assert load.facts["nodegraph.model.name"] == f"{network} of 'demo-shapes.safetensors'"
        assert load.facts["nodegraph.model.bytes"] > 1_000_000
