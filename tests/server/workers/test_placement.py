"""Two real workers and four checkpoints: a run goes where its model is in memory.

A worker's memory holds one checkpoint, so that a run that goes elsewhere costs a load each time,
however fast the machine is.
"""

import json
import random

import pytest

from tests.server.observability.test_metrics import page
from tests.server.serving import WORKFLOWS, serving, until
from tests.tiny_models.checkpoints import LETTERS, small_sd15, write

NAMES = ("a", "b", "c", "d")
ROUNDS = 8
LOADS = ("nodegraph_model_cache_misses_total",)


def prompt(name, seed):
    found = json.loads((WORKFLOWS / "txt2img.json").read_text())
    for node in found.values():
        given = node["inputs"]
        if "ckpt_name" in given:
            given["ckpt_name"] = f"{name}.safetensors"
        if "seed" in given:
            given |= {"seed": seed, "steps": 2}
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    for number, name in enumerate(NAMES):
        path = home / f"models/checkpoints/{name}.safetensors"
        write(path, small_sd15(20 + number), LETTERS)
    return home


def loads(home, placement):
    """The networks that two workers load for runs of many clients that wait at once."""
    one = str((home / "models/checkpoints/a.safetensors").stat().st_size)
    flags = ("--device", "cpu", "--device", "cpu", "--placement", placement, "--weights-cache", one)
    order = [*NAMES] * ROUNDS
    random.Random(1).shuffle(order)
    with serving(home, flags, {"NODEGRAPH_PACKS": "nodes"}) as server:
        until(lambda: len(server.worker_pids()) == 2)
        runs = [
            server.submit(prompt(name, seed), client_id=f"client {seed}")
            for seed, name in enumerate(order)
        ]
        ended = [server.finished(run) for run in runs]
        assert all(each["status"]["status_str"] == "success" for each in ended)
        return until(lambda: page(server))[LOADS]


@pytest.mark.slow  # two servers with two workers each
def test_fewer_checkpoints_are_loaded_than_in_the_order_of_the_queue(home):
    by_models, in_order = loads(home, "models"), loads(home, "order")
    print(f"networks loaded: {by_models:.0f} by models, {in_order:.0f} in order")

    assert 3 * len(NAMES) <= by_models < 0.8 * in_order
