"""Libraries that were written for ComfyUI, as they are, against this server."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from tests.clients import environments
from tests.server.serving import Server, picture

DRIVERS = Path(__file__).parent / "drivers"
STEPS = 24
"""Enough for those that begin to listen after they have submitted."""


class Client(NamedTuple):
    """A library: which environment has it, and what it does not offer."""

    driver: str
    lacks: tuple[str, ...] = ()
    environment: str = "python"
    every_step: bool = True
    """Whether it tells the last step, too."""
    steps: int = STEPS
    """More for one that looks at progress now and then, or begins to listen late."""
    is_slow: bool = False


CLIENTS = (
    Client("drive_api_simplified.py", ("progress",)),
    Client("drive_workflow_client.py", ("progress", "interrupt", "upload")),
    Client("drive_pycomfy.py", ("submit", "progress", "history", "interrupt", "upload")),
    Client("drive_xy.py", ("progress",)),
    Client("drive_toolkit.py", ("upload",)),
    Client("drive_headless.py"),
    Client("drive_autograph.py", ("interrupt",), steps=10 * STEPS, is_slow=True),
    Client("drive_generator.py", ("progress", "interrupt")),
    Client("drive_script.py", ("history", "upload", "invalid")),
    Client("drive_lint.py", ("submit", "progress", "image", "history", "interrupt", "upload")),
    Client("drive_sdk.py", every_step=False, steps=10 * STEPS, is_slow=True),
    Client("drive_catapult.py", ("progress",), "catapult"),
    Client("drive_cli.py", (), "cli", every_step=False, is_slow=True),
    Client("drive_saintno.mjs", (), "node"),
    Client("drive_stable_canvas.mjs", ("upload",), "node"),
    Client("drive_comfy_ui_client.mjs", ("progress",), "node"),
)
BLIND = Client("drive_utils.py", ("submit", "history", "interrupt", "upload"))
"""It dies of the first message that is no text: it needs a server that sends no previews."""


@pytest.mark.parametrize(
    "client",
    [pytest.param(each, marks=pytest.mark.slow if each.is_slow else ()) for each in CLIENTS],
    ids=lambda client: client.driver,
)
def test_a_library_does_all_that_it_offers(server, client, tmp_path):
    prove(server, client, tmp_path)


@pytest.mark.slow
def test_a_library_that_knows_no_previews_does_all_that_it_offers(blind_server, tmp_path):
    prove(blind_server, BLIND, tmp_path)


def prove(server: Server, client: Client, folder: Path) -> None:
    """Have a library do everything, and look at what came of it."""
    report = driven(server, client, folder)
    assert set(report) - {"mask"} == set(CHECKS) - {"mask", *client.lacks}
    for step, found in report.items():
        CHECKS[step](server, report, found)
    if "progress" in report:
        last, total = report["progress"][-1]
        assert total == client.steps
        assert last == client.steps or not client.every_step


def driven(server: Server, client: Client, folder: Path) -> dict[str, Any]:
    """What a driver reports of each step."""
    seed = sum(client.driver.encode())
    image = folder / f"{client.driver}.png"
    Image.new("RGB", (8, 8), (seed % 256, 1, 2)).save(image)
    report = folder / "report.json"
    job = {
        "url": server.url,
        "picture": picture(client.steps, seed, client.driver),
        "slow": picture(10_000, seed),
        "invalid": picture(10_001, seed),
        "image": str(image),
        "report": str(report),
    }
    command = command_of(client, folder)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        input=json.dumps(job),
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**variables, "HOME": str(folder)},
        timeout=120,
    )
    assert report.is_file(), done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(report.read_text())


def command_of(client: Client, folder: Path) -> list[str | Path]:
    """What runs a driver in its environment."""
    try:
        if client.environment != "node":
            return [environments.python(client.environment), DRIVERS / client.driver]
        (folder / "node_modules").symlink_to(environments.node() / "node_modules")
    except environments.UnavailableError as error:
        pytest.skip(str(error))
    for file in ("job.mjs", client.driver):  # node looks for packages beside them
        shutil.copy(DRIVERS / file, folder)
    return ["node", folder / client.driver]


def submitted(server: Server, _report: Any, run: str) -> None:
    assert server.finished(run)["status"]["status_str"] == "success"


def progressed(_server: Server, _report: Any, steps: list[list[int]]) -> None:
    assert steps
    assert steps == sorted(steps)
    assert len({total for _step, total in steps}) == 1


def shown(server: Server, _report: Any, image: Mapping[str, str]) -> None:
    """It is one of those that lie in the output folder."""
    files = list(server.output.glob("*.png"))
    if "sha256" in image:
        assert image["sha256"] in [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        return
    assert image["pixels"] in [_pixels(file) for file in files]


def _pixels(file: Path) -> str:
    with Image.open(file) as image:
        return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def remembered(server: Server, report: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
    ours = server.finished(report["submit"])
    (images,) = [output["images"] for output in ours["outputs"].values()]
    assert entry == {"status": "success", "images": [image["filename"] for image in images]}


def interrupted(server: Server, _report: Any, run: str) -> None:
    messages = [name for name, _data in server.finished(run)["status"]["messages"]]
    assert "execution_interrupted" in messages


def uploaded(server: Server, _report: Any, name: str) -> None:
    with Image.open(server.home / "input" / name) as image:
        assert image.size == (8, 8)


def masked(server: Server, _report: Any, name: str) -> None:
    with Image.open(server.home / "input" / name) as image:
        assert (image.mode, image.size) == ("RGBA", (8, 8))


def refused(server: Server, _report: Any, said: str) -> None:
    assert said
    assert server.get("/queue").json == {"queue_running": [], "queue_pending": []}


CHECKS = {
    "submit": submitted,
    "progress": progressed,
    "image": shown,
    "history": remembered,
    "interrupt": interrupted,
    "upload": uploaded,
    "mask": masked,
    "invalid": refused,
}
