"""kill -9 of either side at any moment, while many clients send runs for both: none is lost."""

import random
import socket
import threading
import time
import urllib.error
import uuid
from collections import Counter
from contextlib import ExitStack, suppress
from http.client import HTTPException

import pytest

from tests.server.serving import TOYS, Server, install_toys, serving, toy, until
from tests.server.store.test_kill import states_of
from tests.server.workers.comfyui.dialect import DialectServer
from tests.server.workers.comfyui.prompts import node, steps

CLIENTS = 16
GONE = (urllib.error.URLError, ConnectionError, HTTPException, TimeoutError)


class Client(threading.Thread):
    """Submits runs, every second one for the other server, until each is accepted.

    Args:
        number: of the client.
        runs: how many runs.
        server: returns our server as it is now; None while it is away.
    """

    def __init__(self, number, runs, server):
        super().__init__()
        self.values = {str(uuid.uuid4()): number * runs + turn for turn in range(runs)}
        self._name = f"client-{number}"
        self._chance = random.Random(number)
        self._server = server

    def run(self):
        for name, value in self.values.items():
            body = {"prompt_id": name, "client_id": self._name, "prompt": prompt_of(value)}
            while not self._send(body):
                time.sleep(0.2)
            time.sleep(self._chance.uniform(0, 1.5))

    def _send(self, body):
        """Whether it is accepted; while theirs is not known yet, it is refused."""
        server = self._server()
        if server is None:
            return False
        with suppress(*GONE):
            return server.post("/prompt", body).status == 200
        return False


def prompt_of(value):
    if value % 2:
        return steps(value, count=4, seconds=0.01, prefix="kill")
    saves = node("ToyFile", a=["1", 0], prefix="kill", megabytes=0.0)
    return {**toy(steps=4, seconds=0.01, value=value), "2": saves}


def begun_twice(lines):
    """The prompts that theirs began a second time though it had not died in between."""
    twice, seen = [], set()
    for word, *rest in (line.split() for line in lines):
        if word == "killed":
            seen.clear()
        elif word == "begin":
            twice += [rest[0]] if rest[0] in seen else []
            seen.add(rest[0])
    return twice


class House:
    """Both servers, of which `hurt` kills one and starts it again."""

    def __init__(self, home, slots):
        self._slots = str(slots)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._home = home
        self.theirs = DialectServer(home / "theirs")
        self.theirs.start()
        self.ours: Server | None = None
        self._stack = ExitStack()
        self.open()

    def open(self):
        flags = ["--comfyui", f"main={self.theirs.url}", "--comfyui-slots", self._slots]
        flags += ["--port", str(self._port)]
        self.ours = self._stack.enter_context(serving(self._home, flags, TOYS, ready=False))

    def close(self):
        self._stack.close()

    def hurt(self, side):
        if side == "theirs":
            self.theirs.kill()
            with (self.theirs.folder / "log.txt").open("a") as log:
                log.write("killed\n")
            self.theirs.start()
        else:
            server, self.ours = self.ours, None
            assert server
            server.kill()
            self.close()
            self.open()


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "kills", "slots"), [(500, 20, 1), (500, 20, 2)])
def test_runs_for_both_survive_the_death_of_either(tmp_path, runs, kills, slots):
    install_toys(tmp_path)
    house, chance = House(tmp_path, slots), random.Random(12)
    share = -(-runs // CLIENTS)
    clients = [Client(number, share, lambda: house.ours) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for turn in range(kills):
        time.sleep(chance.uniform(0.5, 3))
        house.hurt("ours" if turn % 2 else "theirs")
    for client in clients:
        client.join()
    ours = house.ours
    assert ours
    until(lambda: ours.get("/prompt").json["exec_info"]["queue_remaining"] == 0, 600)
    output = ours.output
    house.close()
    house.theirs.kill()
    states = states_of(tmp_path, tmp_path / "copy")
    values = {name: value for client in clients for name, value in client.values.items()}
    counts = Counter(int(path.read_bytes().split(b"\n")[0]) for path in output.glob("kill*.txt"))
    log = (house.theirs.folder / "log.txt").read_text().splitlines()
    twice = begun_twice([line for line in log if line.startswith(("begin", "killed"))])
    print(
        f"\n{len(values)} runs of {CLIENTS} clients, {slots} at once, {kills} kills:"
        f" {Counter(states.values())},"
        f" {len(values) - len(counts)} files missing, {sum(n > 1 for n in counts.values())} double,"
        f" {len(twice)} prompts begun twice by a server that had not died,"
        f" {sum(n > 1 for n in house.theirs.begun().values())} begun again after its death"
    )

    assert set(states) == set(values)
    assert set(states.values()) == {"succeeded"}
    assert counts == dict.fromkeys(values.values(), 1)
    assert twice == []
