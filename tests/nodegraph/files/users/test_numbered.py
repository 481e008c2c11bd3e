"""Numbered files: whole or not there, never overwritten, whatever happens."""

import errno
import os
import re
import subprocess
import sys
import time

import pytest

from nodegraph.errors import DiskFullError, OutputFolderError
from nodegraph.files.file_names import MOST_SERIES, FileSeries, LastNumbers, NumberedFile
from nodegraph.files.users import numbered
from nodegraph.files.users.numbered import check_writable, expand, save_numbered, save_temporary

WRITER = """
import sys
from pathlib import Path
from nodegraph.files.users.numbered import save_numbered
for _ in range(25):
    print(save_numbered(Path(sys.argv[1]), "x", ".png", sys.argv[2].encode() * 1000).name)
"""

STUCK = """
import os, sys, time
from pathlib import Path
from nodegraph.files.users.numbered import save_numbered
def stick(handle):
    print("writing", flush=True)
    time.sleep(120)
os.fsync = stick
save_numbered(Path(sys.argv[1]), "x", ".png", b"half")
"""


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_counts_on_from_the_highest_number_whatever_the_suffix(tmp_path):
    for name in ("cat_00001_.png", "cat_00007_.latent", "CAT_00008_.png", "cat_dog_00099_.png"):
        (tmp_path / name).touch()

    assert save_numbered(tmp_path, "cat", ".png", b"").name == "cat_00009_.png"
    assert save_numbered(tmp_path, "dog", ".png", b"").name == "dog_00001_.png"


def test_counts_past_five_digits(tmp_path):
    (tmp_path / "cat_99999_.png").touch()

    assert save_numbered(tmp_path, "cat", ".png", b"").name == "cat_100000_.png"


def test_a_prefix_may_name_folders_or_nothing_but_one(tmp_path):
    assert save_numbered(tmp_path, "a\\b/c", ".png", b"") == tmp_path / "a/b/c_00001_.png"
    assert save_numbered(tmp_path, "a/", ".png", b"") == tmp_path / "a/_00001_.png"


def test_two_processes_at_once_never_take_one_number(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [
        subprocess.Popen([*command, letter], stdout=subprocess.PIPE, text=True) for letter in "ab"
    ]
    said = [name for writer in writers for name in writer.communicate()[0].split()]

    assert len(said) == 50
    assert sorted(said) == names(tmp_path)
    assert all(len(set((tmp_path / name).read_bytes())) == 1 for name in said)


def test_never_overwrites_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(numbered.Path, "hardlink_to", refuse)
    monkeypatch.setattr(numbered, "_highest", lambda folder, stem: 0)
    first = save_numbered(tmp_path, "x", ".png", b"first")
    second = save_numbered(tmp_path, "x", ".png", b"second")

    assert (first.read_bytes(), second.read_bytes()) == (b"first", b"second")
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize("step", ["fsync", "link"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.EIO, "broken")], ids=repr)
def test_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch, step, error):
    def fail(*args):
        raise error

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(numbered.Path, "hardlink_to", fail)

    with pytest.raises((KeyboardInterrupt, OutputFolderError)):
        save_numbered(tmp_path, "x", ".png", b"data")
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed_by_the_next_save_there(tmp_path):
    (tmp_path / ".mine.part").write_bytes(b"somebody's own")
    command = [sys.executable, "-c", STUCK, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "writing\n"
        save_numbered(tmp_path, "x", ".png", b"")
        meanwhile = names(tmp_path)
        writer.kill()
    parts = [name for name in meanwhile if re.fullmatch(r"\.[0-9a-f]{16}\.part", name)]
    assert len(parts) == 1, "it was still being written"
    save_numbered(tmp_path, "x", ".png", b"")

    assert names(tmp_path) == [".mine.part", "x_00001_.png", "x_00002_.png"]


def test_says_that_the_disk_is_full(tmp_path, monkeypatch):
    def fail(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(DiskFullError, match="No space left"):
        save_numbered(tmp_path, "x", ".png", b"data")
    with pytest.raises(DiskFullError):
        check_writable(tmp_path)
    assert names(tmp_path) == []


def test_says_that_a_folder_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OutputFolderError, match="Not a directory") as caught:
        check_writable(tmp_path / "file/output")
    assert caught.value.code == "output_not_writable"
    assert "--output-dir" in caught.value.hint


def test_checking_a_folder_makes_it_and_leaves_it_empty(tmp_path):
    check_writable(tmp_path / "new/output")

    assert list((tmp_path / "new/output").iterdir()) == []


def test_files_are_readable_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    path = save_numbered(tmp_path, "x", ".png", b"")
    os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o640


def test_fills_in_sizes_dates_and_nothing_that_it_does_not_know(monkeypatch):
    moment = time.strptime("2026-03-04 05:06:07", "%Y-%m-%d %H:%M:%S")
    monkeypatch.setattr(time, "localtime", lambda: moment)

    assert expand("%year%-%month%-%day%_%hour%%minute%%second%", {}) == "2026-03-04_050607"
    assert expand("%date:yyyy-MM-dd%/%date:yy.M.d hh:mm:ss%", {}) == "2026-03-04/26.3.4 05:06:07"
    assert expand("%width%x%height%", {"width": 512, "height": 64}) == "512x64"
    assert expand("100% %unknown% %KSampler.seed%", {}) == "100% %unknown% %KSampler.seed%"


def test_the_parts_of_a_file_in_the_making_are_hidden(tmp_path, monkeypatch):
    seen = []
    highest = numbered._highest
    monkeypatch.setattr(
        numbered, "_highest", lambda *a: seen.extend(names(tmp_path)) or highest(*a)
    )
    save_numbered(tmp_path, "x", ".png", b"")

    assert re.fullmatch(r"\.[0-9a-f]{16}\.part", seen[0])


class Remembered:
    """A claim whose name is known from an earlier attempt, until it is given up."""

    def __init__(self, earlier):
        self.earlier = earlier

    def claim(self, place, first):
        return NumberedFile(self.earlier, 1, again=True) if self.earlier else place.file(first)

    def release(self):
        self.earlier = None


def test_a_second_attempt_replaces_the_first_one_s_file_though_the_prefix_has_changed(tmp_path):
    earlier = save_numbered(tmp_path, "day_1/cat", ".png", b"whole")
    other = save_numbered(tmp_path, "day_2/cat", ".png", b"another's")

    saved = save_numbered(tmp_path, "day_2/cat", ".png", b"again", Remembered(earlier))

    assert saved == earlier
    assert (earlier.read_bytes(), other.read_bytes()) == (b"again", b"another's")


def test_a_name_in_another_output_folder_is_given_up(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    earlier = save_numbered(first, "cat", ".png", b"whole")

    saved = save_numbered(second, "cat", ".png", b"again", Remembered(earlier))

    assert saved == second / earlier.name
    assert (earlier.read_bytes(), saved.read_bytes()) == (b"whole", b"again")


def test_a_number_that_nobody_could_have_counted_to_is_a_name(tmp_path):
    for name in ("x_99999999999999999999_.png", "x_9223372036854775807_.png", "x_00002_.png"):
        (tmp_path / name).touch()

    assert save_numbered(tmp_path, "x", ".png", b"").name == "x_00003_.png"


def test_the_temp_folder_is_listed_once_and_never_synced(tmp_path, monkeypatch):
    (tmp_path / "cat_00007_.png").touch()
    listed = []
    highest = numbered._highest
    monkeypatch.setattr(numbered, "_highest", lambda *a: listed.append(a) or highest(*a))
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("a preview is synced"))
    last = LastNumbers()

    saved = [save_temporary(tmp_path, "cat", ".png", b"x", last).name for _ in range(3)]

    assert saved == ["cat_00008_.png", "cat_00009_.png", "cat_00010_.png"]
    assert len(listed) == 1
    assert not list(tmp_path.glob(".*"))


def test_a_preview_never_overwrites_what_another_process_saved(tmp_path):
    last = LastNumbers()
    save_temporary(tmp_path, "cat", ".png", b"mine", last)
    (tmp_path / "cat_00002_.png").write_bytes(b"another's")

    assert save_temporary(tmp_path, "cat", ".png", b"mine", last).name == "cat_00003_.png"
    assert (tmp_path / "cat_00002_.png").read_bytes() == b"another's"


def test_previews_go_on_when_their_folder_was_removed(tmp_path):
    last, folder = LastNumbers(), tmp_path / "temp"
    save_temporary(folder, "cat", ".png", b"", last).unlink()
    folder.rmdir()

    assert save_temporary(folder, "cat", ".png", b"", last).parent == folder


def test_only_so_many_series_are_remembered(tmp_path):
    last = LastNumbers()
    series = [FileSeries(tmp_path, str(number), ".png") for number in range(MOST_SERIES + 1)]
    for place in series:
        last.raise_to(place, 5)

    assert last.get(series[0]) is None
    assert last.next(series[-1]) == 6
