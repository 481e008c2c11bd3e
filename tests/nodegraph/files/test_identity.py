"""A file's identity is what is in it, however it is remembered."""

import hashlib
import os
import threading
import time

import pytest

from nodegraph.files.identity import Identities


@pytest.fixture
def old_file(tmp_path):
    """A file whose last change is long past."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    os.utime(path, ns=(10**18, 10**18))
    time.sleep(0.06)  # utime is a change, too
    return path


@pytest.fixture
def hashed(monkeypatch):
    """How many files were hashed."""
    calls = []
    digest = hashlib.file_digest

    def count(file, name):
        calls.append(file.name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", count)
    return calls


def test_is_the_sha256(old_file):
    assert Identities().sha256(old_file) == hashlib.sha256(b"weights").hexdigest()


def test_is_remembered_in_memory_and_by_the_next_process(old_file, hashed, tmp_path):
    database = tmp_path / "cache/identities.sqlite"
    first = Identities(database)
    said = [first.sha256(old_file), first.sha256(old_file), Identities(database).sha256(old_file)]

    assert len(set(said)) == 1
    assert len(hashed) == 1


def test_is_that_of_the_file_a_link_leads_to(old_file, hashed, tmp_path):
    (tmp_path / "link").symlink_to(old_file)
    identities = Identities()

    assert identities.sha256(tmp_path / "link") == identities.sha256(old_file)
    assert len(hashed) == 1


@pytest.mark.parametrize("change", ["size", "mtime", "inode"])
def test_is_computed_anew_when_the_file_changes(old_file, tmp_path, change):
    identities = Identities(tmp_path / "identities.sqlite")
    before = identities.sha256(old_file)
    if change == "inode":
        other = tmp_path / "other"
        other.write_bytes(b"WEIGHTS")
        os.utime(other, ns=(10**18, 10**18))
        other.replace(old_file)
    else:
        old_file.write_bytes(b"WEIGHTS" if change == "mtime" else b"more weights")
        stamp = 10**18 + (change == "mtime")
        os.utime(old_file, ns=(stamp, stamp))

    assert identities.sha256(old_file) != before


def test_is_computed_anew_when_the_file_is_overwritten_and_its_mtime_put_back(old_file, tmp_path):
    identities = Identities(tmp_path / "identities.sqlite")
    before = identities.sha256(old_file)

    old_file.write_bytes(b"WEIGHTS")
    os.utime(old_file, ns=(10**18, 10**18))

    assert identities.known_sha256(old_file) == before
    assert identities.sha256(old_file) != before


def test_is_not_remembered_while_the_file_may_still_change(tmp_path, hashed):
    path = tmp_path / "fresh"
    path.write_bytes(b"a")
    identities = Identities()
    first = identities.sha256(path)
    stamp = path.stat().st_mtime_ns
    path.write_bytes(b"b")
    os.utime(path, ns=(stamp, stamp))

    assert identities.sha256(path) != first


def test_does_without_a_database_that_is_broken(old_file, tmp_path):
    database = tmp_path / "identities.sqlite"
    database.write_bytes(b"no database at all" * 100)

    assert Identities(database).sha256(old_file) == hashlib.sha256(b"weights").hexdigest()


def test_of_a_folder_changes_with_its_names_and_contents(tmp_path):
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet/a").write_bytes(b"1")
    seen = [Identities().sha256(folder)]
    (folder / "unet/a").write_bytes(b"2")
    seen.append(Identities().sha256(folder))
    (folder / "unet/a").rename(folder / "unet/b")
    seen.append(Identities().sha256(folder))

    assert len(set(seen)) == 3


def test_many_threads_hash_a_file_once(old_file, hashed):
    identities = Identities()
    threads = [threading.Thread(target=identities.sha256, args=(old_file,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(hashed) == 1
