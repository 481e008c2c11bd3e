"""Builds the simulated device with the C++ compiler of this machine, once for each of its sources.

`python -m tests.simulated_device.build FOLDER` compiles into a folder.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock

NAME = "simulated_native"
_SOURCES = Path(__file__).parent / "native"
_FLAGS = ["-O1", "-std=c++20"]
_ROOT = Path(__file__).parents[2]


def missing_tool() -> str | None:
    """What is missing for a build, as the reason of a skipped test; None if nothing is."""
    if not shutil.which(os.environ.get("CXX", "c++")):
        return "no C++ compiler"
    if not shutil.which("ninja", path=_path()):
        return "no ninja, which builds torch's extensions"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "no headers of Python to compile against"
    return None


@cache
def built_library() -> Path:
    """The device as a module for Python, compiled if it is not in the cache yet.

    Whoever comes while another process builds it waits; half a build is never found.
    """
    folder = _cache_folder() / f"simulated-device-{_version()}"
    library = folder / f"{NAME}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not library.exists():
            _build_in_process(folder / "build")
            (folder / "build" / f"{NAME}.so").replace(library)
    return library


def _build_in_process(folder: Path) -> None:
    """Compile in a process of its own: torch loads what it has built, and a device only once."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"PATH": _path(), "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
    command = [sys.executable, "-m", "tests.simulated_device.build", str(folder)]
    done = subprocess.run(
        command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        message = f"The simulated device does not compile.\n{done.stdout}\n{done.stderr}"
        raise RuntimeError(message)


def _compile(folder: str) -> None:
    from torch.utils.cpp_extension import load  # slow to import, and seldom needed

    sources = [str(_SOURCES / "module.cpp")]
    load(NAME, sources, build_directory=folder, extra_cflags=_FLAGS, verbose=True)


def _version() -> str:
    """What a build depends on, in short."""
    parts = [torch.__version__, sysconfig.get_platform(), sys.version, *_FLAGS]
    digest = hashlib.sha256("\n".join(parts).encode())
    for source in sorted(_SOURCES.iterdir()):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    home = os.environ.get("NODEGRAPH_TEST_CACHE")
    return Path(home) if home else Path.home() / ".cache" / "nodegraph-tests"


def _path() -> str:
    """Where programs are found: those of this Python's environment, too, such as ninja."""
    return os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])


if __name__ == "__main__":
    _compile(sys.argv[1])
