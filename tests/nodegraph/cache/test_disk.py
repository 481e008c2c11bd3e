"""Results on the disk: over a restart, when memory is full, and on bad days."""

import errno
import logging
import os
import shutil
import subprocess
import sys
from typing import Any, NamedTuple

import pytest
import torch

from nodegraph.cache import disk
from nodegraph.cache.books import OVERHEAD
from nodegraph.cache.content import ContentCache
from nodegraph.cache.disk import DISK, DiskResults
from nodegraph.cache.entry import Entry, entry_of
from nodegraph.cache.plain_values import decode, encode
from nodegraph.cache.tensors import parts_of
from nodes.models.networks.components.vision import SeenPictures
from nodes.values import Area, Cond, Conditioning, ImagePrompt, Latent

KIB = 1024


class Pair(NamedTuple):
    first: torch.Tensor
    second: object


class Secret:
    """No plain data."""


def results(folder, limit=1 << 20, depends_on="this"):
    return DiskResults(folder / "results", limit, lambda: depends_on)


def tensor(kib=4, value=1.0):
    return torch.full((kib * 256,), float(value))


def entry(kib=4, seconds=1.0, value=1.0, key="x"):
    made = entry_of((tensor(kib, value),), None, seconds)
    made.key = key
    return made


def only_output(found: Entry | None) -> Any:
    assert found is not None
    return found.outputs[0]


def files(folder):
    return sorted((folder / "results").glob("*.safetensors"))


def prompt(value=0.5):
    mask, tokens = torch.ones(1, 8, 8), torch.full((1, 77, 16), value).to(torch.float16)
    extras = {"sizes": (8, 8.5, None), "more": [tokens], "name": "ä", "on": True}
    cond = Cond(tokens, tokens[:, 0], Area(1, 2, 3, 4), mask=mask, extras=extras)
    seen = ImagePrompt(torch.ones(1, 4, dtype=torch.bfloat16), 0.5)
    return Conditioning((cond, Cond(tokens.double(), image_prompts=(seen,), sample=2)))


def equal(first, second):
    """Compare values of any depth, tensors by dtype, shape and content."""
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if type(first) is not type(second):
        return False
    parts, others = parts_of(first), parts_of(second)
    if not parts:
        return first == second
    return list(parts) == list(others) and all(equal(parts[k], others[k]) for k in parts)


@pytest.mark.parametrize(
    "value",
    [
        prompt(),
        Latent(torch.rand(2, 4, 8, 8)[:, :2], batch_index=(3, 4), extras={"more": [1, "x"]}),
        SeenPictures(None, torch.rand(1, 4), {-2: torch.rand(1, 3)}),
        Pair(torch.arange(6).view(2, 3).t(), [torch.tensor(True), {}, float("inf")]),
        torch.empty(0, 3),
    ],
    ids=["conditioning", "latent", "pictures", "named tuple", "empty"],
)
def test_plain_values_come_back_as_they_were(value):
    data = encode(entry_of((value, 3), None, 1.5).held, 1.5)
    assert data is not None

    found = decode(data)

    assert equal(found.held.outputs, (value, 3))
    assert found.seconds == 1.5
    assert found.held.intact


@pytest.mark.parametrize("value", [Secret(), {"x": Secret()}, torch.ones(2).to_sparse(), b"x"])
def test_other_values_are_not_written(tmp_path, value):
    kept = results(tmp_path)
    made = entry_of((value, tensor()), None, 1.0)

    assert not kept.write(made)
    assert not files(tmp_path)


def test_a_class_that_is_not_plain_is_not_made(tmp_path):
    data = encode(entry_of((Pair(tensor(), 1),), None, 1.0).held, 1.0)
    name = f'"{__name__}", "Pair"'.replace('"', '\\"').encode()
    assert data is not None
    assert name in data

    for other in ('"subprocess", "Popen"', '"os", "system"', f'"{__name__}", "Secret"'):
        text = other.replace('"', '\\"').encode()
        with pytest.raises(ValueError, match=r"hash|result|header"):
            decode(data.replace(name, text + b" " * (len(name) - len(text))))


def test_prompts_are_there_after_a_restart_and_other_results_are_not(tmp_path):
    first = ContentCache(disk=results(tmp_path))
    first.put("text", entry_of((prompt(),), None, 2.0))
    first.put("image", entry_of((tensor(),), None, 2.0))

    second = ContentCache(disk=results(tmp_path))
    found = second.get("text")
    assert found is not None

    assert equal(found.outputs, (prompt(),))
    assert found.seconds == 2.0
    assert second.get("text") is found
    assert second.get("image") is None
    assert (second.stats.hits, second.stats.misses) == (2, 1)
    assert [(each.place, each.hits) for each in second.stats.places] == [("host", 1), (DISK, 1)]


def test_what_memory_has_no_room_for_is_written_and_found(tmp_path):
    cache = ContentCache(3 * (4 * KIB + OVERHEAD), disk=results(tmp_path))
    for k in range(8):
        cache.put(str(k), entry_of((tensor(value=k),), None, 1.0))
    host, there = cache.stats.places

    assert (host.entries, host.spills, host.evictions) == (3, 5, 0)
    assert host.spilled_bytes == 5 * 4 * KIB
    assert there.entries == len(files(tmp_path)) == 5
    for k in range(8):
        assert torch.equal(only_output(cache.get(str(k))), tensor(value=k))


def test_a_result_of_another_version_is_not_found(tmp_path):
    results(tmp_path).write(entry())

    assert results(tmp_path, depends_on="that").read("x") is None
    assert results(tmp_path).read("y") is None
    assert results(tmp_path).read("x")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"",
        lambda data: b"not a result",
        lambda data: data.replace(b"float32", b"float16"),
        lambda data: (1 << 60).to_bytes(8, "little") + data[8:],
    ],
    ids=["cut", "one bit", "empty", "foreign", "another dtype", "endless header"],
)
def test_a_damaged_file_is_a_miss_and_a_warning(tmp_path, caplog, damage):
    kept = results(tmp_path)
    kept.write(entry())
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))

    assert kept.read("x") is None
    assert f"{path} is not used" in caplog.text
    assert not path.exists()
    assert kept.write(entry())
    assert torch.equal(only_output(kept.read("x")), tensor())


def test_a_full_disk_is_one_warning_until_it_has_room(tmp_path, caplog, monkeypatch):
    kept, really = results(tmp_path), disk.part_in

    def full(folder, data, **options):
        (folder / "half.part").write_bytes(data[:10])
        (folder / "half.part").unlink()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk, "part_in", full)
    cache = ContentCache(disk=kept)
    for key in "abc":
        cache.put(key, entry_of((prompt(),), None, 1.0))

    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0]
    assert all(cache.get(key) for key in "abc")
    monkeypatch.setattr(disk, "part_in", really)
    assert kept.write(entry())


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 256 KiB; skipped where none may be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("needs Linux and the command mount")
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"a small filesystem can not be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_filesystem_that_is_full_keeps_what_it_has_and_goes_on_when_there_is_room(
    small_disk, caplog
):
    kept, others = results(small_disk), small_disk / "others"
    others.write_bytes(b"x" * 80 * KIB)
    wrote = [kept.write(entry(64, value=k, key=str(k))) for k in range(4)]

    assert wrote == [True, True, False, False]
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0]
    assert len(list((small_disk / "results").iterdir())) == 2  # nothing is left of the others
    for k in range(2):
        assert torch.equal(only_output(kept.read(str(k))), tensor(64, k))
    assert (kept.read("2"), kept.stats.entries) == (None, 2)

    others.unlink()
    assert kept.write(entry(64, value=2, key="2"))
    assert torch.equal(only_output(results(small_disk).read("2")), tensor(64, 2))


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path, caplog):
    (tmp_path / "results").write_text("a file")

    assert not results(tmp_path).write(entry())
    assert results(tmp_path).read("x") is None
    assert "no results are kept in" in caplog.text


def test_the_cheapest_for_their_size_make_room_and_other_files_stay(tmp_path):
    earlier = results(tmp_path)
    earlier.write(entry(8, seconds=50, key="dear"))
    earlier.write(entry(8, seconds=1, key="cheap"))
    (tmp_path / "results" / "mine.safetensors").write_bytes(b"x" * 40 * KIB)
    kept = results(tmp_path, limit=28 * KIB)

    for k in range(5):
        assert kept.write(entry(8, seconds=2 + k, key=str(k)))

    assert kept.read("dear")
    assert kept.read("cheap") is None
    assert kept.read("4")
    assert kept.stats.nbytes <= 28 * KIB
    assert kept.stats.evictions == 4
    assert (tmp_path / "results" / "mine.safetensors").exists()


def test_what_another_process_writes_is_found_and_counts(tmp_path):
    mine, other = results(tmp_path, 60 * KIB), results(tmp_path, 60 * KIB)
    mine.write(entry(8, key="a"))
    for k in range(5):
        other.write(entry(8, key=f"other {k}"))

    assert mine.read("other 3")
    mine.write(entry(8, key="b"))
    mine.write(entry(8, key="c"))
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 60 * KIB


def test_a_result_larger_than_most_of_the_limit_is_not_written(tmp_path):
    assert not results(tmp_path, limit=8 * KIB).write(entry(8))
    assert not files(tmp_path)
