"""`nodegraph run`: what it prints, where, and with which exit code."""

import array
import fcntl
import json
import re
import select
import signal
import termios
import time

import pytest


def texts(here):
    return {path.name: path.read_text() for path in (here / "output").iterdir()}


def test_prints_the_paths_of_what_it_saved_alone_on_stdout(invoke, simple, here):
    done = invoke("run", simple)

    assert done.exit_code == 0, done.output
    assert done.stdout == "output/text_00001_.txt\n"
    first, second = done.stderr.splitlines()
    assert re.fullmatch(r"\[1/2\] Steps \(steps\): \d+\.\d s", first)
    assert re.fullmatch(r"\[2/2\] Write \(out\): \d+\.\d s", second)
    assert texts(here) == {"text_00001_.txt": "5"}


def test_prints_one_event_a_line_as_json(invoke, simple):
    done = invoke("run", simple, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]

    assert [event["event"] for event in events] == [
        *("run_started", "run_planned", "node_started", "progress", "progress", "progress"),
        *("node_finished", "node_started", "node_finished", "run_finished", "saved"),
    ]
    assert events[-1]["paths"] == ["output/text_00001_.txt"]
    assert done.stderr == ""


def test_sets_inputs_and_seeds_before_it_runs(invoke, simple, here):
    invoke("run", simple, "--seed", 2**64 - 1)
    invoke("run", simple, "--seed", 1, "--set", "steps.seed=9", "--set", "out.filename_prefix=b")

    assert texts(here) == {"text_00001_.txt": str(2**64 - 1), "b_00001_.txt": "9"}


def test_warns_when_there_is_no_seed_to_set(invoke, workflow):
    done = invoke("run", workflow(out=("Write", {"text": "x"})), "--seed", 1)

    assert done.exit_code == 0
    assert "warning: --seed" in done.stderr


def test_writes_where_it_is_told_to(invoke, simple, here):
    done = invoke("run", simple, "--output-dir", here / "new/folder")

    assert done.stdout == f"{here}/new/folder/text_00001_.txt\n"


def test_reads_a_workflow_from_stdin(invoke, simple):
    assert invoke("run", "-", input=simple.read_text()).exit_code == 0


def test_says_where_previews_are_but_not_on_stdout(invoke, workflow):
    done = invoke("run", workflow(peek=("Peek", {"text": "x"})))

    assert done.stdout == ""
    assert "note: Peek (peek): have a look." in done.stderr
    assert "preview: " in done.stderr


def test_a_node_that_fails_is_named_and_ends_the_program_with_1(invoke, workflow):
    path = workflow(boom=("Boom", {"text": "why"}), out=("Write", {"text": ["boom", 0]}))
    done = invoke("run", path)

    assert done.exit_code == 1
    assert done.stdout == ""
    assert "error: node 'boom' (Boom): Boom failed: ZeroDivisionError: why" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_traceback_is_there_for_the_asking(invoke, workflow):
    path = workflow(boom=("Boom", {"text": "why"}), out=("Write", {"text": ["boom", 0]}))
    done = invoke("run", path, "--verbose")

    assert "Traceback" in done.stderr
    assert "raise ZeroDivisionError(text)" in done.stderr


def test_every_problem_is_printed_before_anything_runs(invoke, workflow, here):
    path = workflow(
        a=("Steps", {"steps": 0, "pause": 0.0}),
        b=("Stepz", {}),
        out=("Write", {"text": ["a", 0]}),
        two=("Write", {"text": ["b", 0]}),
    )
    done = invoke("run", path)

    assert done.exit_code == 2
    assert done.stdout == ""
    assert "error: node 'a' (Steps): Input 'steps' is 0, below" in done.stderr
    assert "Did you mean 'Steps'?" in done.stderr
    assert texts(here) == {}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["workflow.jsn"], "Did you mean 'workflow.json'?"),
        (["workflow.json", "--set", "x.y=1"], "no node with the id or title 'x'"),
        (["workflow.json", "--set", "out.txt=1"], "Did you mean 'text'?"),
        (["workflow.json", "--seed", "-1"], "Invalid value for '--seed'"),
        (["workflow.json", "--output-dir", "workflow.json/x"], "Cannot write in"),
        (["workflow.json", "--colour"], "No such option"),
        ([], "Missing argument 'WORKFLOW'"),
    ],
)
def test_what_cannot_begin_ends_with_2_and_says_what_would_work(invoke, simple, args, message):
    done = invoke("run", *args)

    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_a_file_that_is_no_workflow_ends_with_2(invoke, here):
    (here / "broken.json").write_text("{")
    done = invoke("run", "broken.json")

    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["bad.json"], "value_smaller_than_min"),
        (["broken.json"], "invalid_prompt"),
        (["workflow.jsn"], "unknown_file"),
        (["workflow.json", "--set", "x.y=1"], "bad_assignment"),
        (["workflow.json", "--output-dir", "workflow.json/x"], "output_not_writable"),
    ],
)
def test_what_cannot_begin_is_one_line_of_json_if_asked_for(
    invoke, simple, workflow, here, args, code
):
    workflow("bad.json", a=("Steps", {"steps": 0}), out=("Write", {"text": ["a", 0]}))
    (here / "broken.json").write_text("{")
    done = invoke("run", *args, "--json")
    line = json.loads(done.stdout)

    assert done.exit_code == 2
    assert done.stdout.count("\n") == 1
    assert line["event"] == "invalid"
    assert [problem["code"] for problem in line["problems"]] == [code]
    assert done.stderr == ""


def test_a_setting_without_meaning_is_a_line_of_json_too(invoke, simple, monkeypatch):
    monkeypatch.setenv("NODEGRAPH_PACKS", "no_such_pack")
    done = invoke("run", simple, "--json")

    assert json.loads(done.stdout)["problems"][0]["code"] == "broken_pack"
    assert (done.exit_code, done.stderr) == (2, "")


def slow(workflow):
    """Half a minute of short steps, and a file at the end."""
    steps = {"steps": 600, "pause": 0.05}
    return workflow(steps=("Steps", steps), out=("Write", {"text": ["steps", 0]}))


def read_until(child, event):
    """Read a run's events up to the first of a kind."""
    assert any(json.loads(line)["event"] == event for line in child.stdout), child.stderr.read()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_a_signal_stops_it_after_a_step(spawn, workflow, here, number, code):
    child = spawn("run", slow(workflow), "--json")
    read_until(child, "progress")
    child.send_signal(number)
    stdout, stderr = child.communicate(timeout=60)

    assert child.returncode == code
    assert stdout.count('"progress"') < 300
    assert json.loads(stdout.splitlines()[-2])["event"] == "run_cancelled"
    assert "Stopping after this step" in stderr
    assert "Traceback" not in stderr
    assert texts(here) == {}


def test_a_second_ctrl_c_stops_it_at_once(spawn, workflow):
    steps = {"steps": 2, "pause": 30.0}
    path = workflow(steps=("Steps", steps), out=("Write", {"text": ["steps", 0]}))
    child = spawn("run", path, "--json")
    read_until(child, "node_started")
    child.send_signal(signal.SIGINT)
    assert "Stopping" in child.stderr.readline()
    child.send_signal(signal.SIGINT)

    assert child.wait(timeout=25) == 130
    assert child.stderr.read() == "", "it takes the first for an answer"
    assert ends_cancelled(child.stdout.read())


def ends_cancelled(stdout):
    """Whether a stream that was left ends as one that was cancelled, numbered on."""
    *_, before, cancelled, saved = [{"sequence": 3}, *map(json.loads, stdout.splitlines())]
    assert cancelled["sequence"] == before["sequence"] + 1
    assert cancelled["run_id"]
    return [cancelled["event"], saved["event"]] == ["run_cancelled", "saved"]


def test_what_does_not_hear_a_ctrl_c_is_left_after_a_while(spawn, workflow):
    steps = {"steps": 2, "pause": 60.0}
    path = workflow(steps=("Steps", steps), out=("Write", {"text": ["steps", 0]}))
    child = spawn("run", path, "--json")
    read_until(child, "node_started")
    child.send_signal(signal.SIGTERM)

    assert child.wait(timeout=40) == 143
    assert ends_cancelled(child.stdout.read())


def test_what_was_saved_is_named_though_the_run_is_left(spawn, workflow, here):
    path = workflow(
        out=("Write", {"text": "x"}),
        steps=("Steps", {"steps": 2, "pause": 60.0}),
        two=("Write", {"text": ["steps", 0]}),
    )
    child = spawn("run", path)
    assert "[1/3] Write (out)" in child.stderr.readline()
    child.send_signal(signal.SIGINT)
    assert "Stopping" in child.stderr.readline()
    child.send_signal(signal.SIGINT)

    assert child.communicate(timeout=25) == ("output/text_00001_.txt\n", "")
    assert child.returncode == 130


def wait_until_full(pipe) -> None:
    """Wait until there is hardly any room for one more line."""
    waiting, room = array.array("i", [0]), fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
    deadline = time.monotonic() + 60
    while waiting[0] < room - select.PIPE_BUF and time.monotonic() < deadline:
        time.sleep(0.05)
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)


def test_a_reader_that_stopped_reading_does_not_keep_it(spawn, workflow):
    steps = {"steps": 1000, "seed": 1}
    many = {f"s{k}": ("Steps", steps | {"seed": k}) for k in range(3)}
    outs = {f"o{k}": ("Write", {"text": [f"s{k}", 0]}) for k in range(3)}
    child = spawn("run", workflow(**many, **outs), "--json")
    wait_until_full(child.stdout)
    child.send_signal(signal.SIGINT)
    assert "Stopping" in child.stderr.readline()
    child.send_signal(signal.SIGINT)

    assert child.wait(timeout=25) == 130


def test_a_reader_that_goes_away_is_no_error(spawn, workflow):
    child = spawn("run", slow(workflow), "--json")
    read_until(child, "progress")
    child.stdout.close()
    child.wait(timeout=60)

    assert "Traceback" not in child.stderr.read()
