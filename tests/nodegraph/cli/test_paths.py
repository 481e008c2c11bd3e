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
