"""Files of users in a real object store, before it a proxy that fails at will."""

import io
import os
from dataclasses import replace

import pytest

from nodegraph.errors import (
    NodeGraphError,
    ObjectStoreError,
    SettingsError,
    UnknownFileError,
    UnsafePathError,
)
from nodegraph.files.file_names import SaveSlot
from nodegraph.files.objects import body
from nodegraph.settings.settings import Settings
from tests.object_stores.naming import Names
from tests.object_stores.store import BUCKET


def test_saved_files_are_numbered_and_can_be_read_again(open_files, object_store, prefix):
    files = open_files()

    made = [files.save("output", "day/cat", ".png", f"{n}".encode()) for n in range(3)]

    assert [item.name for item in made] == [f"day/cat_0000{n}_.png" for n in (1, 2, 3)]
    assert object_store.keys(f"{prefix}/out") == [f"{prefix}/out/{item.name}" for item in made]
    assert files.path(made[1]).read_bytes() == b"1"
    assert files.input("day/cat_00003_.png [output]").read_bytes() == b"2"
    assert files.users.place(made[0]) == object_store.place(f"{prefix}/out/day/cat_00001_.png")


def test_two_machines_never_take_the_same_number(open_files):
    first, second = open_files(), open_files(machine="b")

    made = [each.save("output", "cat", ".png", b"x").name for each in (first, second) * 3]

    assert sorted(made) == [f"cat_0000{n}_.png" for n in range(1, 7)]


def test_another_attempt_at_a_run_writes_the_same_key(open_files, object_store, prefix):
    names, slot = Names(), SaveSlot("run", "9")
    first = replace(open_files(), naming=names, slot=slot)
    first.save("output", "cat", ".png", b"before")
    second = replace(open_files(machine="b"), naming=names, slot=slot)

    again = second.save("output", "cat", ".png", b"after")

    assert object_store.keys(f"{prefix}/out") == [f"{prefix}/out/{again.name}"]
    assert object_store.content(f"{prefix}/out/cat_00001_.png") == b"after"


def test_large_files_come_in_parts_and_whole(open_files, monkeypatch, object_store, prefix):
    monkeypatch.setattr(body, "AT_ONCE", 6 * 2**20)
    data = os.urandom(7 * 2**20)
    files = open_files()

    names = [files.save("output", "film", ".mp4", iter([data, b"!"])).name for _ in range(2)]

    assert names == ["film_00001_.mp4", "film_00002_.mp4"]
    assert files.input("film_00002_.mp4 [output]").read_bytes() == data + b"!"
    assert object_store.keys(f"{prefix}/out") == [f"{prefix}/out/{name}" for name in names]


def test_uploads_of_the_same_bytes_are_one_file(open_files):
    folder = open_files().users.folder("input")

    kept = [folder.keep("x/a.png", io.BytesIO(data)) for data in (b"1", b"2", b"1", b"2")]

    assert kept == ["x/a.png", "x/a (1).png", "x/a.png", "x/a (1).png"]
    assert folder.keep("x/a.png", io.BytesIO(b"3"), overwrite=True) == "x/a.png"
    assert open_files().input("x/a.png").read_bytes() == b"3"


def test_an_object_that_was_replaced_is_fetched_anew(open_files):
    files = open_files()
    folder = files.users.folder("input")
    folder.keep("a.png", io.BytesIO(b"old"))
    old = files.input("a.png")

    folder.keep("a.png", io.BytesIO(b"new"), overwrite=True)

    assert files.input("a.png").read_bytes() == b"new"
    assert old.read_bytes() == b"old"  # who reads it still has what it began with


def test_lists_leave_out_folders_and_what_is_hidden(open_files):
    files = open_files()
    folder = files.users.folder("input")
    files.check_elsewhere()  # writes a hidden object
    for name in ("b.png", "a.png", "c.txt", "below/d.png"):
        folder.keep(name, io.BytesIO(b"x"))

    assert files.input_names((".png",)) == ["a.png", "b.png"]
    assert folder.names("below") == ["below/d.png"]
    assert sorted(folder.newest_first()) == ["a.png", "b.png", "c.txt"]
    with pytest.raises(UnknownFileError, match=r"aa\.png") as caught:
        files.input("aa.png")
    assert "a.png" in caught.value.hint


@pytest.mark.parametrize(
    "name", ["../b/x.png", "a/../../x", "/etc/passwd", "..\\x", "x\0.png", "C:/x", ""]
)
def test_no_name_leads_out_of_the_prefix(open_files, name):
    files = open_files().for_owner("ann")
    folder = files.users.folder("output")

    for ask in (files.input, folder.find, folder.place, folder.names if name else folder.find):
        with pytest.raises(UnsafePathError):
            ask(name)
    with pytest.raises(UnsafePathError):
        folder.keep(name, io.BytesIO(b"x"))
    if name:
        with pytest.raises(UnsafePathError):
            folder.save(name + "/x", ".png", b"x", files.last_numbers)


def test_owners_do_not_see_each_others_files(open_files):
    files = open_files()
    ann, bob = files.for_owner("ann"), files.for_owner("bob")

    made = ann.save("output", "cat", ".png", b"x")

    assert ann.users.find_artifact(made)
    assert not bob.users.find_artifact(made)
    assert bob.input_names((), "output") == files.input_names((), "output") == []


def test_what_fails_for_a_while_is_tried_again_and_written_once(
    open_files, failing, object_store, prefix
):
    proxy = failing(every=2)
    files = open_files(proxy.endpoint)

    made = [files.save("output", "cat", ".png", bytes([n]) * 5000) for n in range(9)]

    assert proxy.failed > 5
    assert [item.name for item in made] == [f"cat_0000{n}_.png" for n in range(1, 10)]
    assert object_store.keys(f"{prefix}/out") == [f"{prefix}/out/{item.name}" for item in made]
    assert [files.path(item).read_bytes() for item in made] == [bytes([n]) * 5000 for n in range(9)]


def test_a_store_that_stays_away_is_told_with_its_address(open_files, failing, object_store):
    files = open_files(failing(every=1).endpoint, object_patience=0.5)
    told = f"{object_store.scheme}://{BUCKET} can not be used"

    with pytest.raises(ObjectStoreError, match=told) as caught:
        files.save("output", "cat", ".png", b"x")

    assert caught.value.code == "object_store"
    assert object_store.secret not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("mistake", ["another secret", "another name", "nobody there"])
def test_wrong_settings_are_told_in_one_line(
    open_files, monkeypatch, tmp_path, object_store, mistake
):
    variables, told = object_store.mistakes[mistake]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    files = open_files(input_dir=str(tmp_path))

    with pytest.raises(SettingsError, match=f"'output_dir'.*{told}") as caught:
        files.check_elsewhere()

    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert not [text for text in variables.values() if text in str(caught.value)]


def test_a_missing_bucket_is_told_in_one_line(open_files, tmp_path, object_store):
    missing = object_store.place("x", "not-there")
    files = open_files(input_dir=str(tmp_path), output_dir=missing)

    with pytest.raises(SettingsError, match=r"'output_dir'.*no such (bucket|container)") as caught:
        files.check_elsewhere()

    assert "'not-there'" in caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["s4://bucket/x", "s3://", "s3://b/../x", "https://host/x"])
def test_an_address_that_names_nothing_is_refused(text):
    with pytest.raises(NodeGraphError):
        Settings.read({"output_dir": text}, {})


def test_addresses_stand_beside_folders_in_a_variable():
    places = Settings.read({}, {"NODEGRAPH_MODELS_DIR": "/a:s3://bucket/models:b"}).models_dir

    assert [str(place) for place in places] == ["/a", "s3://bucket/models", "b"]


def test_what_nobody_keeps_is_not_saved_in_the_store(open_files, tmp_path):
    files = open_files()
    apart = files.saving_in(tmp_path / "scratch")

    apart.save("output", "day/cat", ".png", b"data")

    assert (tmp_path / "scratch/output/day/cat_00001_.png").read_bytes() == b"data"
    assert files.input_names((".png",), "output") == []
    assert apart.elsewhere.keys() == {"input"}
