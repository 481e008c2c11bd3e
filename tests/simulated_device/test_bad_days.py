"""Devices that are too small, busy, broken or gone: a run is told, and the next one is as ever."""

from contextlib import contextmanager

import pytest
from PIL import Image

from tests.server.serving import ended, picture
from tests.simulated_device.served import PATIENCE, files_of, serving_device

MIB = 1 << 20
BUDGET = 64 * MIB


@pytest.fixture(scope="module")
def server(loaded_device, tmp_path_factory):
    with serving_device(tmp_path_factory.mktemp("bad_days"), budget=BUDGET) as running:
        yield running


@pytest.fixture(scope="module")
def expected(server):
    """The picture of a good day."""
    return pixels(server, server.done(picture()))


def pixels(server, history):
    ((path,),) = files_of(server, history, "images").values()
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


def run(server, prompt=None, **limits):
    """A run as `/v1` has it, with its notices, while the device has these limits."""
    server.left()
    server.trouble(**limits)
    found = server.submit(prompt or picture())
    known = ended(server, found, PATIENCE)
    events = server.get(f"/v1/runs/{found}/events").json["events"]
    known["notices"] = [e["data"]["message"] for e in events if e["name"] == "notice"]
    print(limits, known["status"], known["error"] and known["error"]["message"], known["notices"])
    return known, server.finished(found)


@contextmanager
def check_good_day(server, expected):
    """Check that the device makes the same once it has its limits back, in the same process."""
    workers = server.worker_pids()
    yield
    server.trouble()
    assert pixels(server, server.done(picture(seed=2))) != expected
    assert pixels(server, server.done(picture())) == expected
    assert server.worker_pids() == workers


@pytest.mark.slow
def test_a_worker_says_what_it_computes_on(server, expected):
    (device,) = server.get("/system_stats").json["devices"]

    assert (device["name"], device["vram_total"]) == ("simulated", BUDGET)


@pytest.mark.parametrize(
    "spare", [pytest.param(MIB // 8, marks=pytest.mark.slow), MIB], ids=["block", "call"]
)
def test_a_device_that_is_too_small_for_a_block_or_a_call(server, expected, spare):
    with check_good_day(server, expected):
        known, _ = run(server, spare=spare)

    assert known["status"] == "failed"
    assert known["error"]["code"] in {"out_of_memory", "too_small_share"}
    assert "memory" in known["error"]["message"]
    assert known["error"]["hint"]


@pytest.mark.slow
def test_a_device_without_pinned_memory(server, expected):
    with check_good_day(server, expected):
        before = server.counters()
        known, history = run(server, pinning=False, spare=6 * MIB)
        after = server.counters()

    assert known["status"] == "succeeded"
    assert pixels(server, history) == expected
    assert after.pinned_allocations == before.pinned_allocations
    log = (server.home / "log.txt").read_text()
    assert log.count("no pinned memory") == 1


@pytest.mark.parametrize(
    "fail",
    [pytest.param(n, marks=() if n == 700 else pytest.mark.slow) for n in (3, 100, 300, 700, 1200)],
)
def test_an_allocation_that_fails_in_the_middle(server, expected, fail):
    with check_good_day(server, expected):
        known, history = run(server, fail=fail)

    assert known["status"] == "succeeded"
    assert "out of memory" in known["notices"][0]
    assert pixels(server, history) == expected


@pytest.mark.slow
@pytest.mark.parametrize("lose", [1, 300, 900, 1500])
def test_a_device_that_is_lost(server, expected, lose):
    server.ready()
    workers = server.worker_pids()

    known, _ = run(server, lose=lose)

    assert known["status"] == "failed"
    assert (known["error"]["code"], known["attempts"]) == ("device_lost", 1)
    assert "unspecified launch failure" in known["error"]["message"]
    assert pixels(server, server.done(picture())) == expected
    assert server.worker_pids() != workers


@pytest.mark.slow
def test_compiled_code_that_fails(server, expected):
    prompt = picture()
    inputs = {"model": ["1", 0], "backend": "inductor"}
    prompt["compiled"] = {"class_type": "TorchCompileModel", "inputs": inputs}
    prompt["5"]["inputs"]["model"] = ["compiled", 0]

    with check_good_day(server, expected):
        known, history = run(server, prompt)

    (notice,) = known["notices"]
    assert "starts again without compiled code" in notice
    assert pixels(server, history) == expected


@pytest.mark.slow
def test_two_servers_on_one_card(server, expected, tmp_path):
    budget = server.counters().live_bytes * 4 // 3
    with (
        serving_device(tmp_path / "one", budget=budget, card=tmp_path / "card") as one,
        serving_device(tmp_path / "other", budget=budget, card=tmp_path / "card") as other,
    ):
        runs = [(each, each.submit(picture(seed))) for seed in (2, 3, 4) for each in (one, other)]
        ends = [ended(each, found, PATIENCE) for each, found in runs]
        print(budget, [(end["status"], end["error"]) for end in ends], one.counters())
        other.left()
        alone = pixels(one, one.done(picture()))
        one.left()
        after = pixels(other, other.done(picture()))

    errors = [end["error"]["code"] for end in ends if end["error"]]
    assert set(errors) <= {"out_of_memory", "too_small_share"}
    assert len(errors) < len(ends)
    assert alone == after == expected
