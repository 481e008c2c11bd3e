"""A server of the form's own: `nodegraph serve` on this machine, while the page is there."""

import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from server.form.errors import FormError

_PATIENCE = 30.0


@contextmanager
def own_server(flags: Sequence[str], data_dir: Path) -> Generator[str]:
    """Start it on a free port; its URL. It ends with the block.

    Args:
        flags: folders and devices, as `nodegraph serve` takes them.
        data_dir: holds its queue.

    Raises:
        FormError: it does not start; it has said why on stderr.
    """
    command = [sys.executable, "-P", "-m", "nodegraph", "serve", *flags]
    command += ["--host", "127.0.0.1", "--port", "0", "--drain", "0", "--data-dir", str(data_dir)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the page, which ends it
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
        raise FormError(message, hint="It says why above.")
    return url


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
