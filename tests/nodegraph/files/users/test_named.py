"""Files under given names: whole or not there, nothing lost unless asked for."""

import io

import pytest

from nodegraph.errors import DiskFullError, OutputFolderError, UnsafePathError
from nodegraph.files.users.named import keep


def kept(folder, name, text, **more):
    return keep(folder, name, io.BytesIO(text.encode()), **more).relative_to(folder).as_posix()


def test_the_same_bytes_keep_their_name_and_others_get_a_new_one(tmp_path):
    assert kept(tmp_path, "a.b.png", "one") == "a.b.png"
    assert kept(tmp_path, "a.b.png", "one") == "a.b.png"
    assert kept(tmp_path, "a.b.png", "two") == "a.b (1).png"
    assert kept(tmp_path, "a.b.png", "six") == "a.b (2).png"
    assert kept(tmp_path, "a.b.png", "two") == "a.b (1).png"
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["one", "six", "two"]


def test_overwrites_when_asked_to(tmp_path):
    kept(tmp_path, "a.png", "one")

    assert kept(tmp_path, "a.png", "two", overwrite=True) == "a.png"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["two"]


def test_makes_the_folder(tmp_path):
    assert kept(tmp_path / "input", "day/night/a.png", "one") == "day/night/a.png"


@pytest.mark.parametrize(
    "name", ["", "../a.png", "/a.png", "d/../../a.png", "..\\a.png", "a\0.png", ".a", "d/.git/a"]
)
def test_refuses_names_that_are_not_plain(tmp_path, name):
    with pytest.raises(UnsafePathError):
        kept(tmp_path / "input", name, "one")
    assert list(tmp_path.rglob("*")) == []


def test_refuses_a_folder_name_and_links_that_lead_out(tmp_path):
    root = tmp_path / "input"
    (root / "folder").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)

    for name in ("folder", "out/a.png"):
        with pytest.raises(UnsafePathError):
            kept(root, name, "one", overwrite=True)


@pytest.mark.parametrize(("number", "kind"), [(28, DiskFullError), (5, OutputFolderError)])
def test_leaves_nothing_behind_when_the_disk_fails(tmp_path, monkeypatch, number, kind):
    def fail(handle):
        raise OSError(number, "no")

    monkeypatch.setattr("nodegraph.files.atomic.os.fsync", fail)
    with pytest.raises(kind):
        kept(tmp_path, "a.png", "one")
    assert list(tmp_path.iterdir()) == []
