"""ComfyUI itself as a worker, where NODEGRAPH_COMFYUI names a checkout of it.

NODEGRAPH_COMFYUI_PYTHON names the Python that it runs with; by default that of `.venv` or `venv` in
the checkout, else the one of the tests.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.server.serving import ended, serving, until
from tests.server.workers.comfyui.prompts import blank, node

CHECKOUT = os.environ.get("NODEGRAPH_COMFYUI", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHECKOUT, reason="NODEGRAPH_COMFYUI names no checkout of ComfyUI"),
]


def python_of(checkout):
    named = os.environ.get("NODEGRAPH_COMFYUI_PYTHON")
    found = [
        path for name in (".venv", "venv") if (path := checkout / name / "bin/python").exists()
    ]
    return named or str(found[0] if found else sys.executable)


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    """Our server before ComfyUI, on its processor, with folders of its own."""
    home, checkout = tmp_path_factory.mktemp("real"), Path(CHECKOUT)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folders = [
        text
        for kind in ("input", "output", "temp", "user")
        for text in (f"--{kind}-directory", str(home / "comfyui" / kind))
    ]
    for kind in ("input", "output", "temp", "user"):
        (home / "comfyui" / kind).mkdir(parents=True)
    command = [python_of(checkout), "main.py", "--cpu", "--port", str(port), *folders]
    with (home / "comfyui.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=checkout, stdout=log, stderr=log)
    try:
        flags = ["--comfyui", f"real=http://127.0.0.1:{port}"]
        with serving(home, flags, {"NODEGRAPH_PACKS": "nodes"}) as ours:
            until(lambda: knows_all(ours), 300)
            yield ours
    finally:
        process.terminate()
        process.wait(30)


def knows_all(ours):
    """Whether ComfyUI is there: a run of types that both have can go to it."""
    body = {"workflow": blank(), "prefer": "comfyui"}
    return ours.post("/v1/validate", body).json["servers"] == ["real"]


def test_a_picture_is_made_there_and_stored_here(front):
    run = ended(front, front.submit(blank(16), extra_data={"prefer": "comfyui"}), 120)

    assert (run["status"], run["worker"]) == ("succeeded", "comfyui:real")
    (item,) = front.get(f"/v1/runs/{run['id']}/outputs").json["outputs"]
    with Image.open(front.output / item["filename"]) as picture:
        assert picture.size == (16, 16)


def test_an_input_picture_is_uploaded(front):
    Image.new("RGB", (8, 8), (255, 0, 0)).save(front.home / "input" / "given.png")
    prompt = {
        "1": node("LoadImage", image="given.png"),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix="inverted"),
    }

    run = ended(front, front.submit(prompt, extra_data={"prefer": "comfyui"}), 120)

    assert run["status"] == "succeeded", run["error"]
    (item,) = front.get(f"/v1/runs/{run['id']}/outputs").json["outputs"]
    with Image.open(front.output / item["filename"]) as picture:
        assert picture.convert("RGB").getpixel((0, 0)) == (0, 255, 255)
