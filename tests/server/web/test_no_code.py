"""Files and bytes that would run something when they are loaded run nothing."""

import asyncio
import pickle  # noqa: TID251 - to attack with
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.workers.wire import BrokenWireError, Channel, FrameReader
from tests.server.serving import ROOT
from tests.server.web.test_files import stored


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, canary):
        self.canary = str(canary)

    def __reduce__(self):
        return Path.touch, (Path(self.canary),)


@pytest.fixture
def canary(tmp_path):
    """A file that must not appear; it would if the payload ran."""
    path = tmp_path / "it ran"
    pickle.loads(pickle.dumps(Evil(path)))  # noqa: S301 - the payload works
    path.unlink()
    return path


def torch_file(canary, path):
    """What `torch.save` writes, with the payload in it."""
    import torch

    torch.save({"state_dict": Evil(canary), "x": torch.zeros(1)}, path)
    return path.read_bytes()


NAMES = ("evil.safetensors", "evil.ckpt", "evil.pt", "evil.bin")
LOADERS = {
    "checkpoints": ("CheckpointLoaderSimple", "ckpt_name"),
    "loras": ("LoraLoaderModelOnly", "lora_name"),
    "vae": ("VAELoader", "vae_name"),
    "upscale_models": ("UpscaleModelLoader", "model_name"),
    "controlnet": ("ControlNetLoader", "control_net_name"),
}


def test_a_pickle_under_any_name_is_not_loaded(server, canary, tmp_path):
    payloads = (pickle.dumps(Evil(canary)), torch_file(canary, tmp_path / "x.pt"))
    for number, payload in enumerate(payloads):
        for folder, (kind, key) in LOADERS.items():
            for name in NAMES:
                path = server.home / "models" / folder / f"{number}{name}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(payload)
                prompt: dict[str, Any] = {
                    "0": {
                        "class_type": "CheckpointLoaderSimple",
                        "inputs": {"ckpt_name": "demo-shapes.safetensors"},
                    },
                    "1": {"class_type": kind, "inputs": {key: path.name}},
                    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
                }
                if folder == "loras":
                    prompt["1"]["inputs"] |= {"model": ["0", 0], "strength_model": 1.0}
                reply = server.post("/prompt", {"prompt": prompt})
                if reply.status == 200:
                    entry = server.finished(reply.json["prompt_id"])
                    assert entry["status"]["status_str"] == "error", (folder, name)
                path.unlink()

    assert not canary.exists()


@pytest.mark.parametrize("name", ["evil.latent", "evil.png", "evil.pt"])
def test_an_uploaded_pickle_is_not_loaded(server, canary, tmp_path, name):
    stored(server, name, torch_file(canary, tmp_path / "x.pt"))
    for kind, key in (("LoadImage", "image"), ("LoadLatent", "latent")):
        prompt = {
            "1": {"class_type": kind, "inputs": {key: name}},
            "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        }
        reply = server.post("/prompt", {"prompt": prompt})
        if reply.status == 200:
            status = server.finished(reply.json["prompt_id"])["status"]
            assert status["status_str"] == "error"

    assert not canary.exists()


@pytest.mark.parametrize("path", ["/prompt", "/v1/runs", "/queue", "/history", "/v1/generate"])
def test_a_pickle_as_a_request_is_no_json(server, canary, path):
    reply = server.post(path, pickle.dumps(Evil(canary)))

    assert reply.status in (400, 415, 422)
    assert not canary.exists()


def frames(payload):
    """The payload alone, and as the JSON of a frame."""
    return payload, struct.pack("<II", len(payload), 0) + payload


def test_pickles_between_processes_are_no_frames(canary):
    async def read(data):
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await FrameReader(reader).next()

    for data in frames(pickle.dumps(Evil(canary))):
        with pytest.raises(BrokenWireError):
            asyncio.run(read(data))
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(data)
            with pytest.raises(BrokenWireError):
                Channel(theirs).receive()

    assert not canary.exists()


def test_a_worker_that_is_sent_a_pickle_ends(canary):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-m", "server.worker_process", str(theirs.fileno())]
        with subprocess.Popen(
            command, cwd=ROOT, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True
        ) as process:
            ours.sendall(frames(pickle.dumps(Evil(canary)))[1])
            _, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "BrokenWireError" in errors
    assert not canary.exists()


def listening(pid):
    """The addresses that a process listens on, as the kernel has them."""
    links = [
        str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()
    ]
    found = []
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]:
            parts = line.split()
            if f"socket:[{parts[9]}]" in links and (parts[3] == "0A" or "udp" in kind):
                found.append((kind, parts[1]))
    return found


def test_the_server_listens_on_one_port_of_this_machine_and_its_workers_on_none(server):
    ((kind, address),) = listening(server.process.pid)
    host, port = address.split(":")

    assert (kind, host) == ("tcp", "0100007F")
    assert int(port, 16) == int(server.url.rpartition(":")[2])
    assert [listening(pid) for pid in server.worker_pids()] == [[]] * len(server.worker_pids())


@pytest.mark.parametrize(
    "text", ["import pickle", "import dill", "import marshal", "import shelve"]
)
@pytest.mark.parametrize("room", ["nodes/any.py", "server/any.py", "nodegraph/any.py"])
def test_the_linter_refuses_what_unpickles(text, room):
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--stdin-filename", room, "-"]
    done = subprocess.run(
        ruff,
        cwd=ROOT,
        input=f'"""Doc."""\n\n{text}\n\nprint({text.split()[1]})\n',
        text=True,
        capture_output=True,
        check=False,
    )

    assert "TID251" in done.stdout
