"""A queue that something else wrote to: damage is noticed, and nothing wrong is ever run."""

import asyncio
import random
import shutil
import subprocess
import sys

import pytest

from server.errors import DamagedRunError, DamagedStoreError, UnreadableStoreError
from server.store.runs import NewRun, Work
from server.store.store import Store
from tests.server.serving import serving

COUNT = 120

pytestmark = pytest.mark.usefixtures("sqlite_only")


def work(number):
    inputs = {"text": f"a cat number {number}, " * 5, "seed": number}
    return Work(prompt={"1": {"class_type": "X", "inputs": inputs}}, targets=["1"])


async def filled(store):
    for number in range(COUNT):
        await store.accept(NewRun(id=f"r{number}", work=work(number)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a queue that was closed, and that of one whose server was killed."""
    closed, killed = (tmp_path_factory.mktemp(name) for name in ("closed", "killed"))
    store = Store(closed / "queue.sqlite")
    store.open()
    asyncio.run(filled(store))
    for path in closed.glob("queue.sqlite*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, killed)
    store.close()
    return closed, killed


def copied(folder, tmp_path):
    place = tmp_path / "copy"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place)
    return place / "queue.sqlite"


def opened(path):
    """How many of the runs are there, and how many are found to be damaged; None if refused."""
    store = Store(path)
    try:
        store.open()
    except DamagedStoreError:
        return None
    try:
        return asyncio.run(looked_at(store))
    finally:
        store.close()


async def looked_at(store):
    there = damaged = 0
    for number in range(COUNT):
        try:
            if await store.find(f"r{number}"):
                there += 1
                assert await store.work(f"r{number}") == work(number)
        except (DamagedRunError, UnreadableStoreError):
            damaged += 1
    return there, damaged


@pytest.mark.parametrize("rounds", [30, pytest.param(500, marks=pytest.mark.slow)])
def test_flipped_bits_never_give_another_graph(whole, tmp_path, rounds):
    chance, refused, found, unseen = random.Random(7), 0, 0, 0
    for _ in range(rounds):
        path = copied(whole[0], tmp_path)
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        result = opened(path)
        refused += result is None
        found += bool(result and result[1])
        unseen += bool(result and not result[1])
    print(f"\n{rounds} flips: {refused} refused, {found} found in a run, {unseen} without effect")
    assert refused + found > 0


def test_a_shortened_log_gives_what_was_accepted_before(whole, tmp_path):
    chance, counts = random.Random(3), set()
    for _ in range(10):
        path = copied(whole[1], tmp_path)
        log = path.with_name("queue.sqlite-wal")
        data = log.read_bytes()
        log.write_bytes(data[: chance.randrange(len(data))])
        store = Store(path)
        store.open()
        there = {run.id for run in asyncio.run(store.runs())}
        store.close()
        assert there == {f"r{number}" for number in range(len(there))}
        counts.add(len(there))
    assert len(counts) > 1


def test_a_shortened_database_is_refused(whole, tmp_path):
    path = copied(whole[0], tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])

    assert opened(path) is None


def test_a_server_says_that_its_queue_is_damaged_and_does_not_start(whole, tmp_path):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "queue.sqlite"
    path.write_bytes(b"something else entirely" * 1000)
    command = [*(sys.executable, "-m", "nodegraph", "serve", "--port", "0")]
    command += ["--data-dir", str(tmp_path / "data")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    assert ended.returncode != 0
    assert "damaged_store" in ended.stderr
    assert str(path) in ended.stderr
    assert path.read_bytes().startswith(b"something else")


def test_a_second_server_is_told_who_has_the_data_folder(tmp_path):
    with serving(tmp_path, ready=False) as first:
        command = [*(sys.executable, "-m", "nodegraph", "serve", "--port", "0")]
        command += ["--data-dir", str(tmp_path / "data")]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

        assert ended.returncode != 0
        assert f"in use by process {first.process.pid}" in ended.stderr
        assert first.get("/healthz").status == 200
