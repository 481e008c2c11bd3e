"""A cluster of Ray for tests, in a network of its own that leads nowhere."""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.server.serving import ROOT, TOYS, Server, install_toys, serving, until

PORT = 6379
ADDRESS = f"127.0.0.1:{PORT}"
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
_TRIES = 6
_NEWNET, _SET_FLAGS, _UP = 0x40000000, 0x8914, 1
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def network_of_its_own() -> Generator[None]:
    """This thread, and the processes that it starts, see a network that is this machine alone.

    Ray listens on every address that a machine has. Where no such network can be had, the test is
    skipped.
    """
    if find_spec("ray") is None:
        pytest.skip("the extra ray is not installed")
    with Path("/proc/thread-self/ns/net").open() as before:
        if _libc.unshare(_NEWNET):
            pytest.skip(f"no network of its own: {os.strerror(ctypes.get_errno())}")
        try:
            with socket.socket() as any_socket:
                fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh", b"lo", _UP))
            yield
        finally:
            _libc.setns(before.fileno(), _NEWNET)


class Cluster:
    """A head that has room for two workers.

    Args:
        home: a folder with the pack of toys.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        path = os.pathsep.join([str(home / "packs"), str(ROOT)])
        own = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
        own["PYTHONUNBUFFERED"] = "1"
        self._variables = {**os.environ, **TOYS, **own}

    def start(self) -> None:
        """Start the head; on a busy machine it may give up, and is started again."""
        log = self.home / "ray.txt"
        for _ in range(_TRIES):
            self._begin(log)
            until(lambda: "Ray runtime started" in log.read_text() or self._has_ended, 240)
            if not self._has_ended:
                return
            self.stop()
        raise AssertionError(log.read_text())

    def _begin(self, log: Path) -> None:
        place = ["--head", f"--port={PORT}", "--node-ip-address=127.0.0.1", "--num-cpus=2"]
        small = ["--include-dashboard=false", "--object-store-memory=100000000"]
        self._folder = tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
        command = [*RAY, "start", "--block", *place, *small, f"--temp-dir={self._folder.name}"]
        with log.open("w") as file:
            self._head = subprocess.Popen(command, env=self._variables, stdout=file, stderr=file)

    @property
    def _has_ended(self) -> bool:
        return self._head.poll() is not None or not self._raylet_lives()

    def _raylet_lives(self) -> bool:
        """False once the part of the head that starts actors has died."""
        states = [(Path(f"/proc/{pid}/stat")) for pid in family(self._head.pid)]
        return not any("(raylet) Z" in path.read_text() for path in states if path.exists())

    def stop(self) -> None:
        """Kill the head, and with it all actors."""
        for pid in reversed(family(self._head.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._head.wait()
        self._folder.cleanup()

    @contextmanager
    def serving(
        self, flags: Sequence[str] = (), more: Mapping[str, str] | None = None
    ) -> Generator[Server]:
        """A server of this home whose two workers are actors; both are ready."""
        own = {"NODEGRAPH_SERVER_RAY_ADDRESS": ADDRESS, "NODEGRAPH_SERVER_RAY_WORKERS": "2"}
        environment = {**TOYS, **own, **(more or {})}
        flags = ["--workers", "ray", *flags]
        with serving(self.home, flags, environment, ready=False) as server:
            until(lambda: len(ready_workers(server)) == 2, 600)
            yield server


@contextmanager
def cluster(home: Path) -> Generator[Cluster]:
    """A cluster that is running."""
    install_toys(home)
    found = Cluster(home)
    found.start()
    try:
        yield found
    finally:
        found.stop()


def ready_workers(server: Server) -> list[str]:
    """The workers that have told their device."""
    reply = server.get("/metrics").data.decode()
    return [line for line in reply.splitlines() if line.startswith("nodegraph_result_cache_limit")]


def family(pid: int) -> list[int]:
    """A process and all that it and they have started, the oldest first."""
    parents = {int(path.name): parent_of(path) for path in Path("/proc").glob("[0-9]*")}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def parent_of(folder: Path) -> int:
    """The parent of a process; 0 if it is gone."""
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def programs() -> dict[int, int]:
    """The worker processes of this network's actors: process and actor."""
    here = Path("/proc/thread-self/ns/net").readlink()
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")
                parent = parent_of(folder)
                if b"server.worker_process" in command and (folder / "ns/net").readlink() == here:
                    found[int(folder.name)] = parent
            except (OSError, ProcessLookupError):
                continue
    return found


def kill_actor_of(pid: int) -> None:
    """kill -9 of the actor whose worker process that is."""
    os.kill(programs()[pid], signal.SIGKILL)


def busy_program() -> int:
    """The worker process that computes a run: it wakes up after each step."""
    before = {pid: _wakings(pid) for pid in programs()}
    time.sleep(0.5)
    return max(before, key=lambda pid: _wakings(pid) - before[pid])


def _wakings(pid: int) -> int:
    """How often the threads of a process have gone to sleep."""
    texts = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int(text.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in texts)
