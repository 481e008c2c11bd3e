"""The benchmarks of full-size models, run with small ones, and the parts that they are made of."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.engines import engine_in, run_all, text_to_image
from benchmarks.gpu import memory_pressure
from benchmarks.gpu.copies import CopyCounter
from benchmarks.gpu.device_clock import Pace, TimeBudget, sample_seconds
from benchmarks.gpu.families import FAMILIES, fill, write_checkpoint
from benchmarks.gpu.memory_pressure import lru_bytes
from benchmarks.gpu.pipelines import Parts, eager
from benchmarks.gpu.replay import networks_of, record_calls
from benchmarks.report import Report
from nodes.models.weights.header import read_header
from nodes.models.weights.reader import TensorFiles
from tests.full_size.models import MODELS, write_sparse
from tests.simulated_device.conftest import loaded_device, simulated

__all__ = ["loaded_device", "simulated"]


def figures(path: Path) -> dict[str, float]:
    return {one["name"]: one["value"] for one in json.loads(path.read_text())["figures"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_a_file_of_full_size(name):
    assert FAMILIES[name].model in MODELS


@pytest.mark.slow  # diffusers' pipelines take seconds to import
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # diffusers' scheduler and numpy
@pytest.mark.parametrize("name", FAMILIES)
def test_a_bare_loop_and_diffusers_make_the_image_of_the_engine(folder, name):
    family = FAMILIES[name]
    write_checkpoint(folder, family, tiny=True)
    engine, picture = engine_in(folder / "work", folder), family.picture(tiny=True)
    names = ["load", "positive", "negative"]
    first = engine.run(text_to_image(family.checkpoint(), 0, picture), targets=names)
    outputs: Any = [first.outputs[each] for each in names]
    (model, _, vae), (positive,), (negative,) = outputs

    with record_calls(*networks_of(model, vae)) as calls:
        run_all(engine, [text_to_image(family.checkpoint(), 1, picture)], "decode", at_once=1)
    image = eager(picture, Parts(model, vae, positive, negative))().images

    assert len(calls.made) == picture.steps + 1
    assert calls.difference() == 0
    assert image.shape == (1, 3, picture.size, picture.size)
    assert image.isfinite().all()


def test_files_of_full_size_are_filled_with_finite_numbers_and_norms_of_one(tmp_path):
    shapes = {"norm.weight": ("F16", (8,)), "a.bias": ("F32", (8,)), "a.weight": ("BF16", (64, 64))}
    path = write_sparse(tmp_path / "small.safetensors", shapes)

    fill(path)

    with TensorFiles() as files:
        found = {key: files.tensor(info) for key, info in read_header(path).tensors.items()}
        assert found["norm.weight"].tolist() == [1.0] * 8
        assert 0.015 < float(found["a.weight"].float().std()) < 0.025
        assert found["a.bias"].count_nonzero() == 8


@pytest.mark.parametrize(
    ("order", "limit", "bytes_loaded"),
    [
        ([2, 5, 3], 10, 0),  # all fit
        ([2, 5, 3], 9, 10),  # in turn, the one that comes next has always just left
        ([4, 1, 1], 5, 6),
    ],
)
def test_lru_loads_what_has_left(order, limit, bytes_loaded):
    assert lru_bytes(order, limit) == bytes_loaded


def test_the_fewest_calls_are_timed_though_no_time_is_left():
    calls: list[int] = []

    times = sample_seconds(lambda: calls.append(1), TimeBudget(0), Pace(2, 3, 9))

    assert (len(times), len(calls)) == (3, 5)


def test_bytes_that_move_are_counted_as_the_device_counts_them(simulated):
    with CopyCounter() as counter:
        there = torch.ones(4, dtype=torch.float64).to(simulated.device)
        there[:2].copy_(torch.zeros(2, dtype=torch.float64))
        there.cpu()

    assert counter.nbytes == simulated.counters().bytes_to_device == 48


@pytest.mark.slow  # four rounds of two models
def test_fewer_bytes_move_than_by_lru_and_nothing_runs_out(simulated, tmp_path):
    options = Namespace(
        results=tmp_path, models=tmp_path / "models", tiny=True, keep=[], budget=24e9, steps=2,
        rounds=1, seconds=0.0,
    )  # fmt: skip
    report = Report("memory_pressure", options)
    memory_pressure.measure(options, report)

    found = figures(report.path)
    assert report.path.name == "memory_pressure-simulated.json"
    assert found["times that memory ran out"] == 0
    assert found["least to move in a round"] <= found["moved in a round"] * 1.05
    assert found["moved in a round"] < found["moved in a round by LRU"]


@pytest.mark.slow  # all three, each a process of its own
def test_all_run_on_tiny_models(tmp_path):
    main(["gpu", "--tiny", "--results", str(tmp_path)])

    assert json.loads((tmp_path / "gpu-cpu.json").read_text())["data"] == {
        f"{part}: ended": "as it should" for part in ("latency", "throughput", "memory_pressure")
    }
    latency = figures(tmp_path / "latency-cpu.json")
    assert {f"{name}: an image" for name in FAMILIES} <= latency.keys()
    assert figures(tmp_path / "throughput-cpu.json")["SD-Turbo: best"] > 0
    assert figures(tmp_path / "memory_pressure-cpu.json")["times that memory ran out"] == 0
