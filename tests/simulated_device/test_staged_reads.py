"""Bytes of files on their way to the device: read by several threads, copied beside that."""

import random
import threading

import pytest
import torch

from nodes.models.residency import staged_reads
from nodes.models.residency.staged_reads import READERS, OpenFiles, StagedReads
from nodes.models.weights.errors import TruncatedFileError
from nodes.models.weights.stored_bytes import ByteRange

BUFFER = 1024
PATIENT = 30.0


@pytest.fixture(autouse=True)
def _small_buffers(monkeypatch):
    monkeypatch.setattr(staged_reads, "BUFFER_BYTES", BUFFER)


@pytest.fixture
def content(tmp_path) -> bytes:
    made = random.Random(0).randbytes(20_000)
    (tmp_path / "a").write_bytes(made)
    return made


def ranges(tmp_path) -> list[ByteRange]:
    """Parts of the file out of order: small ones, one of a whole buffer, one of several."""
    places = [(5_000, 3), (100, 1), (7_001, BUFFER), (0, 5 * BUFFER + 17), (19_000, 1_000)]
    return [ByteRange(tmp_path / "a", start, nbytes) for start, nbytes in places]


def expected(content: bytes, wanted: list[ByteRange]) -> list[bytes]:
    return [content[start : start + nbytes] for _, start, nbytes in wanted]


def taken(reads: StagedReads, wanted: list[ByteRange]) -> list[bytes]:
    with reads:
        return [bytes(reads.take().cpu().tolist()) for _ in wanted]


def readers() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("read-weights")]


def test_each_byte_is_read_and_copied_once(simulated, tmp_path, content):
    wanted, files, sizes = ranges(tmp_path), OpenFiles(), []

    def read(path, start, target):
        sizes.append(len(target))
        return files.read(path, start, target)

    found = taken(StagedReads(wanted, simulated.device, read), wanted)

    assert found == expected(content, wanted)
    total = sum(each.nbytes for each in wanted)
    assert sum(sizes) == total == simulated.counters().bytes_to_device
    assert readers() == []


def test_several_reads_are_in_flight(simulated, tmp_path, content):
    wanted, files, gate = ranges(tmp_path), OpenFiles(), threading.Barrier(READERS)
    whole = [each for each in wanted if each.nbytes > READERS * BUFFER]
    first = iter(range(READERS))

    def read(path, start, target):
        if next(first, None) is not None:
            gate.wait(PATIENT)  # which breaks if the others do not come
        return files.read(path, start, target)

    assert taken(StagedReads(whole, simulated.device, read), whole) == expected(content, whole)


def test_a_buffer_is_written_again_only_after_it_has_been_copied(simulated, tmp_path, content):
    simulated.set_link_speed(200_000)  # 5 ms a buffer, much more than a read
    wanted = [ByteRange(tmp_path / "a", 0, len(content))]

    assert taken(StagedReads(wanted, simulated.device), wanted) == [content]


def test_without_pinned_memory(simulated, tmp_path, content):
    simulated.refuse_pinning()
    wanted = ranges(tmp_path)

    assert taken(StagedReads(wanted, simulated.device), wanted) == expected(content, wanted)


def test_a_file_that_has_become_shorter(simulated, tmp_path, content):
    wanted = ranges(tmp_path)
    (tmp_path / "a").write_bytes(content[:19_500])

    with pytest.raises(TruncatedFileError):
        taken(StagedReads(wanted, simulated.device), wanted)

    assert readers() == []


def test_a_disk_that_fails(simulated, tmp_path, content):
    wanted, files = ranges(tmp_path), OpenFiles()

    def read(path, start, target):
        if start > 10_000:
            raise OSError(5, "Input/output error")
        return files.read(path, start, target)

    with pytest.raises(OSError, match="Input/output error"):
        taken(StagedReads(wanted, simulated.device, read), wanted)


def test_reads_that_nobody_takes_end(simulated, tmp_path, content):
    before = simulated.live_bytes()
    with StagedReads(ranges(tmp_path), simulated.device) as reads:
        first = reads.take()

    assert bytes(first.cpu().tolist()) == content[5_000:5_003]
    del first
    torch.accelerator.synchronize()
    assert simulated.counters().live_bytes == before
    assert readers() == []


def test_nothing_wanted(simulated):
    with StagedReads([], simulated.device):
        assert readers() == []
