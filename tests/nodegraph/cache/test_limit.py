"""The size that the result cache has by itself: a share of the memory there is."""

import os

import pytest

from nodegraph.cache.limit import SHARE, SMALLEST, limit_bytes, memory_bytes
from nodegraph.runtime.sizes import format_size, read_size

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def cgroups(tmp_path):
    """A service that is given less than the machine has, by a group around its own."""
    (tmp_path / "system/nodegraph").mkdir(parents=True)
    (tmp_path / "system/memory.max").write_text("1048576\n")
    (tmp_path / "system/nodegraph/memory.max").write_text("max\n")
    (tmp_path / "own").write_text("1:cpu:/\n0::/system/nodegraph\n")
    return tmp_path


def test_a_size_that_is_set_is_kept_to():
    assert limit_bytes(5000) == limit_bytes(5000, processes=3) == 5000


def test_by_itself_it_is_a_share_that_processes_divide():
    share = memory_bytes() // SHARE

    assert limit_bytes("auto") == max(share, SMALLEST)
    assert limit_bytes("auto", 3) == max(share // 3, SMALLEST)
    assert limit_bytes("auto", 10**9) == SMALLEST


def test_a_group_that_is_given_less_memory_counts(cgroups):
    assert memory_bytes(cgroups, cgroups / "own") == 1 << 20


def test_without_a_group_it_is_the_machines_memory(tmp_path):
    (tmp_path / "own").write_text("1:cpu:/\n")

    assert memory_bytes(tmp_path, tmp_path / "own") == MACHINE
    assert memory_bytes(tmp_path, tmp_path / "none") == MACHINE


@pytest.mark.parametrize("text", ["", "4G", "-1", "4 zib", "ib", "1e9", "0x10", "1.2.3", "٣"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="is no size"):
        read_size(text)


@pytest.mark.parametrize("text", ["12 bytes", "1.5 KiB", "4.0 GiB", "2.0 TiB"])
def test_a_size_is_written_as_it_is_read(text):
    assert format_size(read_size(text.replace("bytes", ""))) == text
