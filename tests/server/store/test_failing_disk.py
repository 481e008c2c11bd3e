"""Disks that fail or fill up, clocks that jump: what was acknowledged stays."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.serving import TOYS, install_toys, serving, toy, until

SOURCE = Path(__file__).with_name("failing_disk.c")
COMPILER = shutil.which("cc") or shutil.which("gcc")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the shim is preloaded, as on Linux"),
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler to build the shim with"),
]


class Faults:
    """What is wrong with a server's disk and clock; may change while it runs."""

    def __init__(self, folder: Path, shim: Path) -> None:
        self._folder = folder
        self.environment = TOYS | {"LD_PRELOAD": str(shim), "FAILING_DISK": str(folder)}

    def begin(self, fault: str, below: Path | str = "") -> None:
        """From now on: `fsync`, `full` or `clock`, for files below a folder."""
        part = self._folder / f"{fault}.part"
        part.write_text(str(below))
        part.rename(self._folder / fault)

    def end(self) -> None:
        """Everything is well again."""
        for control in self._folder.iterdir():
            control.unlink()


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    built = tmp_path_factory.mktemp("shim") / "failing_disk.so"
    assert COMPILER
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-o", str(built), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return built


@pytest.fixture
def faults(tmp_path, shim):
    folder = tmp_path / "faults"
    folder.mkdir()
    install_toys(tmp_path)
    return Faults(folder, shim)


def saving(value, prefix="toy"):
    return {
        "1": {
            "class_type": "ToyFile",
            "inputs": {"a": value, "prefix": prefix, "megabytes": 0.01},
        }
    }


@pytest.mark.parametrize(("fault", "status"), [("fsync", 503), ("full", 507)])
def test_what_cannot_be_written_is_refused_and_what_was_accepted_finishes(
    tmp_path, faults, fault, status, sqlite_only
):
    data = tmp_path / "data"
    with serving(tmp_path, environment=faults.environment) as server:
        running = server.submit(toy(steps=40, seconds=0.02, value=1))
        waiting = server.submit(toy(value=2))
        until(lambda: server.get("/queue").json["queue_running"])
        faults.begin(fault, data)

        refused = server.post("/prompt", {"prompt": toy(value=3), "prompt_id": "refused"})
        keyed = server.post("/v1/runs", {"workflow": toy(value=4)}, Idempotency_Key="k")
        cancelled = server.post(f"/v1/runs/{waiting}/cancel")
        assert (refused.status, keyed.status, cancelled.status) == (status, status, status)
        assert server.get("/readyz").status == 503
        assert server.get("/healthz").status == 200
        until(lambda: "could not be written" in (tmp_path / "log.txt").read_text())

        faults.end()
        again = server.post("/prompt", {"prompt": toy(value=3), "prompt_id": "refused"})
        keyed = server.post("/v1/runs", {"workflow": toy(value=4)}, Idempotency_Key="k")
        assert again.status == 200, again.data
        assert keyed.status in (200, 201), keyed.data
        for run in (running, waiting, "refused", keyed.json["id"]):
            assert server.finished(run)["status"]["status_str"] == "success"
        server.ready()


@pytest.mark.parametrize("fault", ["fsync", "full"])
def test_a_server_killed_while_its_disk_fails_loses_nothing_it_acknowledged(
    tmp_path, faults, fault, sqlite_only
):
    with serving(tmp_path, environment=faults.environment, ready=False) as server:
        accepted = [server.submit(toy(value=value)) for value in range(5)]
        faults.begin(fault, tmp_path / "data")
        assert server.post("/prompt", {"prompt": toy(value=9)}).status in (503, 507)
        server.kill()
    faults.end()
    with serving(tmp_path, environment=faults.environment) as server:
        for run in accepted:
            assert server.finished(run)["status"]["status_str"] == "success"


def test_a_full_output_folder_fails_the_run_with_a_code_and_the_queue_goes_on(tmp_path, faults):
    with serving(tmp_path, environment=faults.environment) as server:
        faults.begin("full", server.output)
        failed = server.submit(saving(1))
        (error,) = errors(server.finished(failed))
        assert error["exception_type"] == "disk_full"
        assert error["node_id"] == "1"
        assert not list(server.output.iterdir())

        faults.end()
        (found,) = server.finished(server.submit(saving(1)))["outputs"]["1"]["text_files"]
        assert (server.output / found["filename"]).stat().st_size > 10_000


def test_an_output_folder_that_vanishes_or_is_no_folder_fails_only_what_saves_there(
    tmp_path, faults
):
    with serving(tmp_path, environment=faults.environment) as server:
        server.output.rmdir()
        server.output.write_text("in the way")
        (error,) = errors(server.finished(server.submit(saving(1))))
        assert error["exception_type"] == "output_not_writable"
        assert server.finished(server.submit(toy(value=2)))["outputs"]["2"] == {"text": ["2"]}

        server.output.unlink()
        assert server.finished(server.submit(saving(3)))["outputs"]["1"]["text_files"]
        assert len(list(server.output.iterdir())) == 1


def test_a_clock_that_jumps_back_changes_no_order(tmp_path, faults):
    with serving(tmp_path, environment=faults.environment) as server:
        first = server.submit(toy(steps=20, value=1))
        until(lambda: server.get("/queue").json["queue_running"])
        faults.begin("clock")
        runs = [first, *(server.submit(toy(value=value)) for value in range(2, 6))]
        entries = [server.finished(run) for run in runs]
        listed = [run["id"] for run in server.get("/v1/runs").json["runs"]]
        events = server.get(f"/v1/runs/{first}/events").json["events"]

    assert [entry["status"]["status_str"] for entry in entries] == ["success"] * 5
    assert listed == list(reversed(runs))
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["time_ms"] < events[0]["time_ms"]


def errors(entry):
    return [data for name, data in entry["status"]["messages"] if name == "execution_error"]
