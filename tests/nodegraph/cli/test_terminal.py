"""What a person sees: frames around errors, and a live line that goes away."""

import errno
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nodegraph.cli.terminal.report import report_no_room


def seen(command, environment, interrupt_at=()):
    """Run a command with stderr on a terminal; what it wrote there, and its exit code.

    As soon as the next of `interrupt_at` is there to read, it gets a Ctrl-C.
    """
    waiting = [text.encode() for text in interrupt_at]
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    chunks = []

    def read():
        try:
            while chunk := os.read(ours, 4096):
                chunks.append(chunk)
                if waiting and waiting[0] in b"".join(chunks):
                    waiting.pop(0)
                    child.send_signal(signal.SIGINT)
        except OSError:  # Linux says so when the other side is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    stdout = child.communicate(timeout=60)[0]
    reader.join()
    os.close(ours)
    return stdout, b"".join(chunks).decode(), child.returncode


@pytest.fixture
def look(here, toys):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(toys), *sys.path]),
        "TERM": "xterm-256color",
        "COLUMNS": "80",
    }
    command = [sys.executable, "-m", "nodegraph"]
    return lambda *args, **kwargs: seen([*command, *map(str, args)], environment, **kwargs)


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_bar_over_the_steps_and_a_line_for_each_node(look, workflow):
    steps = {"steps": 5, "pause": 0.2}
    path = workflow(steps=("Steps", steps), out=("Write", {"text": ["steps", 0]}))
    stdout, shown, code = look("run", path)

    assert (stdout, code) == ("output/text_00001_.txt\n", 0)
    assert re.search(r"Steps \(steps\) +━+.* [1-4]/5 ", plain(shown))
    assert re.search(r"\[1/2\] Steps \(steps\): \d\.\d s", plain(shown))
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is back"


def test_the_live_line_goes_away_when_a_run_is_left(look, workflow):
    steps = {"steps": 2, "pause": 60.0}
    path = workflow(steps=("Steps", steps), out=("Write", {"text": ["steps", 0]}))
    stdout, shown, code = look("run", path, interrupt_at=["Steps (steps)", "Stopping after"])

    assert (stdout, code) == ("", 130)
    assert "Traceback" not in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is back"


def test_an_error_is_a_frame_with_where_what_and_what_would_work(look, workflow):
    path = workflow(odd=("Steps", {"steps": "x"}), out=("Write", {"text": ["odd", 0]}))
    _, shown, code = look("run", path)
    lines = [line.strip() for line in plain(shown).splitlines()]

    assert code == 2
    assert lines[0].startswith("╭─ node 'odd' (Steps) ─")
    assert "Input 'steps' takes INT, not 'x'." in lines[1]
    assert lines[-1].startswith("╰─")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
@pytest.mark.parametrize(
    "args",
    [
        ["explain", "workflow.json"],
        ["validate", "workflow.json"],
        ["nodes", "Steps"],
        ["nodes", "--json"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_a_full_stdout_is_one_line_and_exit_code_1(simple, toys, args):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(toys), *sys.path])}
    command = [sys.executable, "-m", "nodegraph", *args]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert done.stderr == "error: cannot write: No space left on device.\n"
    assert done.returncode == 1


def test_only_a_lack_of_room_is_reported_as_one(capsys):
    assert not report_no_room(PermissionError(errno.EACCES, "denied", "x"))
    assert capsys.readouterr().err == ""
    assert report_no_room(OSError(errno.EFBIG, "File too large", "x.png"))
    assert capsys.readouterr().err == "error: cannot write x.png: File too large.\n"
