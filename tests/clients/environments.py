"""Environments of the client libraries: made once, in a cache folder, with pinned versions."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

PINS = Path(__file__).parent / "environments"
CACHE = Path.home() / ".cache" / "nodegraph-tests" / "clients"
UV = "uv==0.13.9"
"""Installs fifty packages in seconds, where pip takes minutes."""


class UnavailableError(Exception):
    """An environment cannot be made here; the message says why."""


def python(name: str) -> Path:
    """The interpreter of an environment that holds what `environments/NAME.txt` pins.

    Raises:
        UnavailableError: it cannot be made.
    """
    pins = PINS / f"{name}.txt"
    folder = _place(name, pins.read_bytes())
    with FileLock(CACHE / f"{name}.lock"):
        if not (folder / "done").is_file():
            uv = _uv()
            _run(uv, "venv", "--clear", "-p", sys.executable, folder)
            _run(uv, "pip", "install", "-p", folder / "bin/python", "-r", pins)
            (folder / "done").touch()
    return folder / "bin" / "python"


def node() -> Path:
    """A folder whose `node_modules` hold what `environments/node/package-lock.json` pins.

    Raises:
        UnavailableError: it cannot be made.
    """
    if not shutil.which("npm"):
        message = "there is no npm (apt-get install nodejs npm)"
        raise UnavailableError(message)
    lock = PINS / "node" / "package-lock.json"
    folder = _place("node", lock.read_bytes())
    with FileLock(CACHE / "node.lock"):
        if not (folder / "done").is_file():
            shutil.copytree(PINS / "node", folder, dirs_exist_ok=True)
            _run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder)
            (folder / "done").touch()
    return folder


def _uv() -> Path:
    """uv, in an environment of its own."""
    folder = _place("uv", UV.encode())
    program = folder / "bin" / "uv"
    with FileLock(CACHE / "uv.lock"):
        if not program.is_file():
            _run(sys.executable, "-m", "venv", "--clear", folder)
            _run(folder / "bin/python", "-m", "pip", "install", "-q", UV)
    return program


def _place(name: str, pins: bytes) -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}".encode()
    return CACHE / f"{name}-{hashlib.sha256(pins + version).hexdigest()[:12]}"


def _run(*command: str | Path) -> None:
    variables = {**os.environ, "UV_CACHE_DIR": str(CACHE / "uv-cache")}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=variables)
    if done.returncode:
        message = f"{' '.join(map(str, command))} failed: {done.stderr[-500:]}"
        raise UnavailableError(message)
