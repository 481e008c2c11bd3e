"""kill -9 at any moment: nothing that was accepted is lost, nothing is written twice or by half."""

import os
import random
import shutil
import signal
import sqlite3
import threading
import time
import urllib.error
import uuid
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.server.postgres import ask, queue_in
from tests.server.serving import TOYS, Server, install_toys, serving, until

MEGABYTES = 0.25
FILE = {"prefix": "kill", "megabytes": MEGABYTES}
SIZE = int(MEGABYTES * 2**20)
KNOWN = ("queued", "running", "succeeded", "failed")


class Clients:
    """Submit prompts, each of which saves one file that says whose it is, and keep the answers."""

    def __init__(self) -> None:
        self.accepted: set[str] = set()
        self.uncertain: set[str] = set()
        """Sent, but no answer came."""
        self.values: dict[str, int] = {}

    def submit(self, server: Server) -> None:
        name = str(uuid.uuid4())
        value = self.values[name] = len(self.values)
        prompt = {
            "1": {"class_type": "ToySteps", "inputs": {"a": value, "count": 4, "seconds": 0.01}},
            "2": {"class_type": "ToyFile", "inputs": {"a": ["1", 0], **FILE}},
        }
        self.uncertain.add(name)
        body = {"prompt": prompt, "prompt_id": name, "client_id": f"client-{value % 3}"}
        reply = server.post("/prompt", body)
        assert reply.status == 200, reply.data
        self.uncertain.discard(name)
        self.accepted.add(name)

    @contextmanager
    def busy(self, server: Server, pause: float) -> Generator[None]:
        """Submit all the time, until the block ends or the server is gone."""
        over = threading.Event()

        def work() -> None:
            with suppress(urllib.error.URLError, ConnectionError, HTTPException, TimeoutError):
                while not over.wait(pause):
                    self.submit(server)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def check_store(self, states: dict[str, str]) -> None:
        """Everything that was accepted is there, and nothing that was not sent."""
        assert self.accepted <= set(states)
        assert set(states) <= self.accepted | self.uncertain
        assert set(states.values()) <= set(KNOWN), Counter(states.values())

    def check_files(self, output: Path, states: dict[str, str]) -> None:
        """Every run that succeeded has its one file; no other file is there."""
        counts = Counter(int(path.read_bytes().split(b"\n")[0]) for path in output.glob("*.txt"))
        assert max(counts.values(), default=1) == 1
        done = {self.values[name] for name, state in states.items() if state == "succeeded"}
        begun = {self.values[name] for name in states}
        assert done <= set(counts) <= begun


def states_of(home: Path, scratch: Path) -> dict[str, str]:
    """What the queue on the disk says, read from a copy: the next server has to mend its own."""
    if isinstance(place := queue_in(home / "data"), str):
        return dict(ask(place, "SELECT id, state FROM runs"))
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for path in (home / "data").glob("queue.sqlite*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, scratch)
    database = sqlite3.connect(scratch / "queue.sqlite")
    try:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return dict(database.execute("SELECT id, state FROM runs"))
    finally:
        database.close()


def check_whole(output: Path) -> None:
    """No file that has a name is truncated."""
    for path in output.glob("*.txt"):
        head = path.read_bytes().split(b"\n")[0]
        assert path.stat().st_size == len(head) + 1 + SIZE


def gone(pids: list[int], seconds: float = 10.0) -> float:
    """Wait until these processes are no more; how long that took."""
    begin = time.monotonic()
    until(lambda: not any(map(lives, pids)), seconds)
    return time.monotonic() - begin


def lives(pid: int) -> bool:
    """Whether a process is there, and is more than what nobody has asked for yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("rounds", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_a_killed_server_loses_and_doubles_nothing(tmp_path, rounds):
    install_toys(tmp_path)
    clients, chance, longest = Clients(), random.Random(4), 0.0
    for number in range(rounds):
        with serving(tmp_path, environment=TOYS, ready=False) as server:
            with clients.busy(server, 0.1):
                if number % 3:  # in every third round it may still be starting
                    server.ready()
                time.sleep(chance.uniform(0, 1))
                pids = server.worker_pids()
                server.kill()
            longest = max(longest, gone(pids))
        clients.check_store(states_of(tmp_path, tmp_path / "copy"))
        check_whole(tmp_path / "output")
    with serving(tmp_path, environment=TOYS) as server:
        until(lambda: server.get("/prompt").json["exec_info"]["queue_remaining"] == 0, 1800)
    states = states_of(tmp_path, tmp_path / "copy")
    clients.check_store(states)
    clients.check_files(server.output, states)
    check_whole(server.output)
    assert set(states.values()) == {"succeeded"}
    attempts = read(tmp_path, "SELECT sum(attempts - 1) FROM runs")
    print(
        f"\n{rounds} kills: {len(clients.accepted)} accepted, {len(states)} finished,"
        f" {len(clients.uncertain)} without an answer, {attempts} run again;"
        f" the last worker was gone after {longest:.2f} s at most"
    )


@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_killed_worker_loses_and_doubles_nothing(tmp_path, rounds):
    install_toys(tmp_path)
    clients, chance, noticed = Clients(), random.Random(4), []
    with serving(tmp_path, environment=TOYS) as server:
        for _ in range(rounds):
            with clients.busy(server, 0.05):
                time.sleep(chance.uniform(0, 0.8))
                (pid,) = server.worker_pids()
                os.kill(pid, signal.SIGKILL)
                begin = time.monotonic()
                until(lambda: server.get("/readyz").status == 503, 5)
                noticed.append(time.monotonic() - begin)
                server.ready()
            check_whole(server.output)
        until(lambda: server.get("/prompt").json["exec_info"]["queue_remaining"] == 0, 1800)
    states = states_of(tmp_path, tmp_path / "copy")
    clients.check_store(states)
    clients.check_files(server.output, states)
    parked = read(tmp_path, "SELECT count(*) FROM runs WHERE error LIKE '%run_parked%'")
    failed = sum(state == "failed" for state in states.values())
    assert failed == parked
    assert set(states.values()) <= {"succeeded", "failed"}
    print(
        f"\n{rounds} kills: {len(clients.accepted)} accepted, {len(states)} finished,"
        f" {parked} of them parked, {read(tmp_path, 'SELECT sum(attempts - 1) FROM runs')} run"
        f" again; seen over HTTP after {sorted(noticed)[len(noticed) // 2] * 1000:.0f} ms (median),"
        f" {max(noticed) * 1000:.0f} ms at most"
    )


def read(home: Path, question: str) -> int:
    """One number from the queue's database."""
    ((found,),) = ask(queue_in(home / "data"), question)
    return found
