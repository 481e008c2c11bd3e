"""A real server for tests: `nodegraph serve` as its own process, and short ways to talk to it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.server import postgres

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "workflows"
PATIENCE = 60.0
"""Seconds that anything may take on a busy machine."""

TOY_NODES = '''
"""Nodes that are quick, slow, broken or deadly, at will."""

import logging
import ctypes
import os
import sys
import time
from typing import Annotated

from nodegraph.runtime.run_environment import run_environment
from nodegraph.definition.context import Context
from nodegraph.definition.node import node
from nodegraph.graph.results import Ui
from nodegraph.graph.sockets import Socket


@node("ToyNumber", category="toys")
def number(value: int = 1) -> int:
    """Hand a number on."""
    return value


@node("ToyAdd", category="toys")
def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


@node("ToySteps", category="toys", cache="never")
def steps(context: Context, a: int = 0, count: int = 10, seconds: float = 0.01) -> int:
    """Take a while, with progress; can be cancelled after each step."""
    for step in range(count):
        context.check_cancelled()
        time.sleep(seconds)
        context.progress(step + 1, count)
        context.check_cancelled()
    return a


@node("ToyWatched", category="toys", cache="never", output_node=True)
def watched(context: Context, count: int = 10, seconds: float = 0.01) -> Ui:
    """Show a picture at each step if somebody looks; tell at how many steps somebody did."""
    seen = 0
    for step in range(count):
        if context.wants_preview:
            seen += 1
            context.preview(b"picture", "image/jpeg")
        context.progress(step + 1, count)
        time.sleep(seconds)
    return Ui(values={"seen": [seen], "method": [context.preview_method]})


@node("ToyWrite", category="toys", cache="never", output_node=True)
def write(text: str, context: Context) -> Ui:
    """Show a text while it grows."""
    context.progress_text(text[:3])
    context.progress_text(text)
    return Ui(values={"text": [text]})


@node("ToyClock", category="toys", cache="never", output_node=True)
def clock(context: Context, count: int = 10, seconds: float = 0.01) -> Ui:
    """Show the time at each step."""
    for _ in range(count):
        context.progress_text(f"{time.time():.6f}")
        time.sleep(seconds)
    return Ui()


@node("ToySpeak", category="toys", cache="never", output_node=True)
def speak(text: str) -> Ui:
    """Log a text, and write it to stdout and stderr."""
    logging.getLogger("toy_pack").info("logged %s", text)
    logging.getLogger("toy_pack").debug("whispered %s", text)
    print(f"printed {text}", flush=True)
    print(f"complained {text}", file=sys.stderr, flush=True)
    return Ui()


@node("ToyFail", category="toys")
def fail(a: int = 0) -> int:
    """Raise."""
    raise ValueError(f"no {a}")


@node("ToyLoseDevice", category="toys", cache="never")
def lose_device(a: int = 0, text: str = "device-side assert triggered") -> int:
    """Raise the error that torch raises in every call from now on."""
    raise RuntimeError(f"CUDA error: {text}")


@node("ToyExit", category="toys", cache="never")
def leave(a: int = 0, code: int = 3) -> int:
    """End the worker's process."""
    os._exit(code)


@node("ToyCrash", category="toys", cache="never")
def crash(a: int = 0) -> int:
    """Read where there is nothing."""
    return ctypes.string_at(a)[0]


@node("ToyHold", category="toys", cache="never")
def hold(a: int = 0, seconds: int = 600) -> int:
    """Let no other thread of the process run."""
    ctypes.PyDLL(None).sleep(seconds)
    return a


@node("ToyOrphan", category="toys", cache="never")
def orphan(a: int = 0) -> int:
    """End the worker's process, but for a copy of it that holds everything open."""
    if os.fork():
        os._exit(4)
    time.sleep(5)
    os._exit(0)


@node("ToyFile", category="toys", output_node=True)
def file(context: Context, a: int, prefix: str = "toy", megabytes: float = 0.0) -> Ui:
    """Save a text file."""
    data = f"{a}\\n".encode() + bytes(int(megabytes * 2**20))
    saved = context.files.save("output", prefix, ".txt", data)
    return Ui(artifacts={"text_files": [saved]})


@node("ToyBlock", category="toys")
def block(kilobytes: int, fill: int = 0) -> Annotated[bytes, Socket("BLOCK")]:
    """Make so many bytes, which the result cache has to keep."""
    return bytes([fill]) * (1024 * kilobytes)


@node("ToyWeigh", category="toys", output_node=True, cache="never")
def weigh(data: Annotated[bytes, Socket("BLOCK")]) -> Ui:
    """Show how many bytes that are, and which kernels would compute attention."""
    return Ui(values={"bytes": [len(data)], "attention": [run_environment().attention]})


@node("ToyShow", category="toys", output_node=True)
def show(a: int) -> Ui:
    """Show a number."""
    return Ui(values={"text": [str(a)]})
'''
"""The pack `toys`; see `install_toys`."""
TOYS = {"NODEGRAPH_PACKS": "toys"}
"""The environment of servers that need no other pack: their workers import no torch."""


class Reply(NamedTuple):
    """An HTTP reply."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.data)


class Server:
    """A running server.

    Args:
        process: the program.
        url: where it listens.
        home: its folders: `data`, `output`, `input`, `models`.
        token: goes along with every request.
    """

    def __init__(
        self, process: "subprocess.Popen[str]", url: str, home: Path, token: str = ""
    ) -> None:
        self.process = process
        self.url = url
        self.home = home
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def of(self, token: str) -> "Server":
        """The same server, for who has that token."""
        return Server(self.process, self.url, self.home, token)

    @property
    def output(self) -> Path:
        """Where results go."""
        return self.home / "output"

    @property
    def socket_url(self) -> str:
        """Where its WebSocket listens."""
        return self.url.replace("http", "ws", 1) + "/ws"

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = PATIENCE,
    ) -> Reply:
        """One request; `body` is bytes, or JSON."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {**self.headers, **(headers or {})}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Reply(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, dict(error.headers), error.read())

    def get(self, path: str, **headers: str) -> Reply:
        """GET; `_` in a header's name is `-`."""
        return self.ask("GET", path, headers=_named(headers))

    def post(self, path: str, body: object = None, **headers: str) -> Reply:
        """POST; `_` in a header's name is `-`."""
        return self.ask("POST", path, body, _named(headers))

    def submit(self, prompt: Mapping[str, Any], **more: object) -> str:
        """Queue a prompt in ComfyUI's dialect; its id."""
        reply = self.post("/prompt", {"prompt": prompt, **more})
        assert reply.status == 200, reply.data
        return str(reply.json["prompt_id"])

    def finished(self, run: str, seconds: float = PATIENCE) -> Any:
        """The history of a run, once it is over."""
        return until(lambda: self.get(f"/history/{run}").json.get(run), seconds)

    def ready(self) -> None:
        """Wait until a worker takes runs."""
        until(lambda: self.get("/readyz").status == 200)

    def worker_pids(self) -> list[int]:
        """The worker processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(
    home: Path,
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    *,
    ready: bool = True,
) -> Generator[Server]:
    """`nodegraph serve` with all its folders below `home`, on a free port; ends it at the end.

    Args:
        home: keeps its folders from one server to the next.
        flags: further ones.
        environment: further variables.
        ready: wait until a worker takes runs.
    """
    folders = {name: home / name for name in ("models", "input", "output", "data")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    named = [text for name, folder in folders.items() for text in (f"--{name}-dir", str(folder))]
    command = [sys.executable, "-m", "nodegraph", "serve", "--port", "0", *named, *flags]
    path = os.pathsep.join([str(home / "packs"), str(ROOT)])
    own = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "NODEGRAPH_TEMP_DIR": str(home / "temp")}
    if postgres.is_chosen():
        own["NODEGRAPH_SERVER_DATABASE"] = str(postgres.queue_in(home / "data"))
    variables = {**os.environ, **own, **(environment or {})}
    with (home / "log.txt").open("a") as log:
        process = subprocess.Popen(
            command, cwd=home, env=variables, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout
    with process.stdout:
        url = process.stdout.readline().split()
        if not url:
            process.wait(PATIENCE)
            raise AssertionError((home / "log.txt").read_text())
        server = Server(process, url[-1], home)
        try:
            if ready:
                server.ready()
            yield server
        finally:
            if process.poll() is None:
                server.stop()


def install_toys(home: Path) -> None:
    """Install the pack of toy nodes for servers of that home, as pip would."""
    package = home / "packs" / "toy_pack"
    if package.exists():
        shutil.rmtree(package)
    package.mkdir(parents=True)
    (package / "nodes.py").write_text(TOY_NODES)
    declared = "from nodegraph import Pack\nPACK = Pack('toys', '1.0', ('toy_pack.nodes',))\n"
    (package / "__init__.py").write_text(declared)
    info = home / "packs" / "toys-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nodegraph.packs]\ntoys = toy_pack\n")


def until(answer: Any, seconds: float = PATIENCE) -> Any:
    """Ask again and again until the answer is something; what it is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = answer()
        if found:
            return found
        time.sleep(0.02)
    message = f"nothing came in {seconds} s"
    raise AssertionError(message)


def ended(server: Server, run: str, seconds: float = PATIENCE) -> Any:
    """A run as `/v1` has it, once it is over."""

    def found() -> Any:
        known = server.get(f"/v1/runs/{run}").json
        return known if known["finished_ms"] else None

    return until(found, seconds)


def toy(steps: int = 1, seconds: float = 0.01, value: int = 0) -> dict[str, Any]:
    """A prompt of toy nodes that takes `steps * seconds` and shows `value`."""
    inputs = {"a": value, "count": steps, "seconds": seconds}
    return {
        "1": {"class_type": "ToySteps", "inputs": inputs},
        "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
    }


def block(kilobytes: int, fill: int = 0) -> dict[str, Any]:
    """A prompt that leaves so many bytes in the result cache."""
    inputs = {"kilobytes": kilobytes, "fill": fill}
    return {
        "1": {"class_type": "ToyBlock", "inputs": inputs},
        "2": {"class_type": "ToyWeigh", "inputs": {"data": ["1", 0]}},
    }


def picture(steps: int = 2, seed: int = 1, prefix: str = "picture") -> dict[str, Any]:
    """The shipped text-to-image workflow, short."""
    prompt: dict[str, Any] = json.loads((WORKFLOWS / "txt2img.json").read_text())
    for node in prompt.values():
        inputs = node["inputs"]
        for name, value in (("steps", steps), ("seed", seed), ("filename_prefix", prefix)):
            if name in inputs:
                inputs[name] = value
    return prompt


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
