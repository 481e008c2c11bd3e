"""Where a user's caches and data lie."""

import os
import pwd
import sys
from pathlib import Path

import pytest

from nodegraph.files.user_dirs import cache_folder, data_folder, hub_folder

VARIABLES = ("XDG_CACHE_HOME", "XDG_DATA_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
def test_on_linux_folders_are_those_of_xdg(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == Path("/home/somebody/.cache/nodegraph")
    assert data_folder() == Path("/home/somebody/.local/share/nodegraph")

    monkeypatch.setenv("XDG_CACHE_HOME", "/fast")
    monkeypatch.setenv("XDG_DATA_HOME", "/big")
    assert cache_folder() == Path("/fast/nodegraph")
    assert data_folder() == Path("/big/nodegraph")


def test_the_hub_s_folder_is_the_one_its_client_uses():
    assert hub_folder({"HF_HUB_CACHE": "/a"}) == Path("/a")
    assert hub_folder({"HF_HOME": "/b"}) == Path("/b/hub")
    assert hub_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/huggingface/hub")
    assert hub_folder({}) == Path.home() / ".cache/huggingface/hub"


def test_a_user_without_a_home_gets_folders_all_the_same(monkeypatch):
    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    folders = [cache_folder(), data_folder(), hub_folder({})]

    assert all(folder.is_absolute() for folder in folders)
    assert len(set(folders)) == len(folders)
    assert all(f"nodegraph-{os.getuid()}" in folder.parts for folder in folders)
