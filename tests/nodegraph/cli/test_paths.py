"""Paths on the command line: the home folder, folders for files, and files that are no workflow."""

import json

import pytest


@pytest.fixture
def home(here, monkeypatch):
    """A home folder that is not the working directory, with a workflow in it."""
    folder = here / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    node = {"class_type": "Write", "inputs": {"text": "a"}}
    (folder / "x.json").write_text(json.dumps({"1": node}))
    return folder


@pytest.mark.parametrize(
    ("args", "written"),
    [
        (["explain", "~/x.json", "--draw", "~/g.svg"], "g.svg"),
        (["convert", "~/x.json", "-o", "~/y.json"], "y.json"),
        (["export-python", "~/x.json", "-o", "~/y.py"], "y.py"),
        (["lock", "~/x.json"], "x.lock.json"),
        (["lock", "~/x.json", "-o", "~/y.lock"], "y.lock"),
        (["stubs", "-o", "~/typings"], "typings"),
        (["new-pack", "blue", "--folder", "~/t"], "t/blue"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_tilde_is_the_home_folder(invoke, here, home, args, written):
    done = invoke(*args)

    assert (done.exit_code, done.exception) == (0, None)
    assert (home / written).exists()
    assert not (here / "~").exists()


def test_a_workflow_in_the_home_folder_runs(invoke, home):
    assert invoke("run", "~/x.json").exit_code == 0


def test_a_tilde_that_is_nobodys_home_is_part_of_the_name(invoke, here, home):
    (here / "~nobody-of-that-name.json").write_text((home / "x.json").read_text())

    assert invoke("validate", "~nobody-of-that-name.json").exit_code == 0


@pytest.mark.parametrize(
    ("args", "option"),
    [
        (["explain", "workflow.json", "--draw", "no/such/g.svg"], "--draw"),
        (["convert", "workflow.json", "-o", "no/such/y.json"], "-o"),
        (["export-python", "workflow.json", "-o", "no/such/y.py"], "-o"),
        (["lock", "workflow.json", "-o", "no/such/y.lock"], "-o"),
        (["stubs", "-o", "workflow.json/typings"], "-o"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_file_that_can_not_be_written_names_the_option_for_it(invoke, simple, args, option):
    done = invoke(*args)

    assert done.exit_code == 2
    assert done.stderr.endswith(f"[output_not_writable]\n  Choose another file with {option}.\n")


@pytest.mark.parametrize("command", ["validate", "explain"])
@pytest.mark.parametrize(("name", "code"), [("no.json", "unknown_file"), ("raw", "invalid_prompt")])
def test_a_workflow_that_can_not_be_read_is_a_problem_as_json(invoke, here, command, name, code):
    (here / "raw").write_bytes(bytes(range(256)))
    done = invoke(command, name, "--json")
    answer = json.loads(done.stdout)

    assert (done.exit_code, done.stderr, answer["valid"]) == (2, "", False)
    assert [problem["code"] for problem in answer["problems"]] == [code]


@pytest.mark.parametrize(
    ("files", "hint"),
    [((), "There is no .json file in it."), (("a.json",), "There are: folder.json/a.json.")],
)
def test_a_folder_is_called_one(invoke, here, files, hint):
    (here / "folder.json").mkdir()
    for name in files:
        (here / "folder.json" / name).touch()
    done = invoke("validate", "folder.json")

    assert done.exit_code == 2
    assert "'folder.json' is a folder, no workflow file. [unknown_file]" in done.stderr
    assert hint in done.stderr


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b" \n", "Bad.json is empty. [invalid_prompt]"),
        (
            bytes(range(256)),
            "Bad.json is binary: neither JSON nor a PNG, WebP, JPEG, FLAC, MP4 or WebM file.",
        ),
        (b'{"a": }', "Bad.json: this is no JSON: Expecting value: line 1 column 7 (char 6)."),
        (b"[" * 200 + b"]" * 200, "Bad.json: the JSON nests deeper than 100."),
    ],
    ids=["empty", "binary", "syntax", "deep"],
)
def test_a_file_that_is_no_json_is_named_with_what_it_is(invoke, here, data, message):
    (here / "bad.json").write_bytes(data)
    done = invoke("validate", "bad.json")

    assert done.exit_code == 2
    assert message in done.stderr


def test_an_empty_stdin_is_called_empty(invoke):
    assert "The workflow is empty." in invoke("validate", "-", input="").stderr
