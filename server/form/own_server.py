"""Starts `nodegraph serve` for the form on this machine, and stops it with the page."""

import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from server.form.errors import FormError

_PATIENCE = 30.0


@contextmanager
def own_server(flags: Sequence[str], data_dir: Path) -> Generator[str]:
    """Start a server on a free port and yield its URL; stop it after the block.

    Args:
        flags: options of `nodegraph serve` for folders and devices.
        data_dir: the folder of its queue.

    Raises:
        FormError: it does not start; its own message is on stderr.
    """
    command = [sys.executable, "-P", "-m", "nodegraph", "serve", *flags]
    command += ["--host", "127.0.0.1", "--port", "0", "--drain", "0", "--data-dir", str(data_dir)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the page, which stops the server
    )
    with process:
        try:
            yield _url_of(process)
        finally:
            _end(process)


def _url_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    url = process.stdout.readline().strip()
    if not url:
        message = "the server that the form would use did not start."
        raise FormError(message, hint="Its own message is above.")
    return url


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
