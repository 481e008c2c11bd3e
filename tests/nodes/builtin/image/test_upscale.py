"""Upscale models: every set of names, against a forward pass written down layer by layer."""

import json

import pytest
import torch
from click.testing import CliRunner
from PIL import Image as Pictures
from torch.nn import functional

from nodegraph.cli import cli
from nodes.builtin.image.upscale import (
    image_upscale_with_model,
    upscale_model_loader,
    upscale_tiled,
)
from nodes.models.families.base.errors import MissingWeightsError, UnrecognisedFileError
from nodes.models.weights.errors import PickleRefusedError
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid, picture, untouched
from tests.tiny_models.checkpoints import write
from tests.tiny_models.upscalers import compact, esrgan, named, numbered

LACKS_MEMORY = "CUDA out of memory. Tried to allocate 1.00 GiB."


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def load(bench, tensors, name="tiny.safetensors"):
    write(bench.root / "models" / "upscale_models" / name, tensors)
    return upscale_model_loader(name, bench)


def conv(tensors, key, x):
    return functional.conv2d(x, tensors[f"{key}.weight"], tensors[f"{key}.bias"], padding=1)


def active(x):
    return torch.where(x > 0, x, 0.2 * x)


def doubled(x):
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)


def esrgan_by_hand(tensors, x, doublings, unshuffle=1):
    """ESRGAN's paper, figure 4; Real-ESRGAN's names."""
    first = conv(tensors, "conv_first", functional.pixel_unshuffle(x, unshuffle))
    trunk, block = first, 0
    while f"body.{block}.rdb1.conv1.weight" in tensors:
        inner = trunk
        for dense in (1, 2, 3):
            seen = inner
            for number in range(1, 5):
                made = active(conv(tensors, f"body.{block}.rdb{dense}.conv{number}", seen))
                seen = torch.cat([seen, made], 1)
            inner = inner + 0.2 * conv(tensors, f"body.{block}.rdb{dense}.conv5", seen)
        trunk, block = trunk + 0.2 * inner, block + 1
    y = first + conv(tensors, "conv_body", trunk)
    for number in range(doublings):
        y = active(conv(tensors, f"conv_up{number + 1}", doubled(y)))
    return conv(tensors, "conv_last", active(conv(tensors, "conv_hr", y)))


def compact_by_hand(tensors, x, convolutions, scale):
    y = conv(tensors, "body.0", x)
    for number in range(convolutions + 1):
        slope = tensors[f"body.{2 * number + 1}.weight"].view(1, -1, 1, 1)
        y = conv(tensors, f"body.{2 * number + 2}", torch.where(y > 0, y, slope * y))
    large = x.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    return functional.pixel_shuffle(y, scale) + large


@pytest.mark.parametrize("rename", [dict, named, numbered], ids=["new", "named", "numbered"])
@pytest.mark.parametrize("doublings", [0, 1, 2, 3])
def test_an_esrgan_computes_what_its_paper_says_whatever_its_names(bench, rename, doublings):
    tensors = esrgan(doublings=doublings)
    model = load(bench, rename(tensors))
    x = picture(1, 10, 14).movedim(-1, 1)

    made = model.enlarge(x)

    assert model.scale == 2**doublings
    torch.testing.assert_close(made, esrgan_by_hand(tensors, x, doublings), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("unshuffle", "scale"), [(2, 2), (4, 1)])
def test_smaller_factors_fold_the_picture_first(bench, unshuffle, scale):
    tensors = esrgan(unshuffle=unshuffle)
    model = load(bench, tensors)
    x = picture(1, 8, 12).movedim(-1, 1)

    made = model.enlarge(x)

    assert model.scale == scale
    expected = esrgan_by_hand(tensors, x, doublings=2, unshuffle=unshuffle)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(7, 9), (1, 5), (8, 11)])
def test_a_folded_picture_may_have_odd_sides(bench, height, width):
    model = load(bench, esrgan(unshuffle=2))

    made = image_upscale_with_model(model, picture(1, height, width), bench)

    assert made.shape == (1, 2 * height, 2 * width, 3)


def test_the_anime_model_is_one_with_six_blocks(bench):
    assert load(bench, esrgan(blocks=6)).network.spec.config["blocks"] == 6


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_compact_model_adds_to_the_picture_enlarged_as_it_is(bench, scale):
    tensors = compact(scale=scale)
    model = load(bench, tensors)
    x = picture(1, 9, 13).movedim(-1, 1)

    expected = compact_by_hand(tensors, x, convolutions=3, scale=scale)

    assert model.scale == scale
    torch.testing.assert_close(model.enlarge(x), expected, atol=1e-5, rtol=0)


def test_half_precision_files_are_computed_in_full(bench):
    narrow = {key: tensor.half() for key, tensor in esrgan().items()}
    wide = {key: tensor.float() for key, tensor in narrow.items()}
    x = picture(1, 8, 8).movedim(-1, 1)

    first, second = load(bench, narrow, "a.safetensors"), load(bench, wide, "b.safetensors")

    assert torch.equal(first.enlarge(x), second.enlarge(x))


def test_pictures_come_out_larger_and_in_range(bench):
    model = load(bench, esrgan())
    image = picture(2, 9, 12, channels=4)

    with untouched(image):
        made = image_upscale_with_model(model, image, bench)

    assert made.shape == (2, 36, 48, 3)
    assert 0 <= made.min() < made.max() <= 1
    alone = image_upscale_with_model(model, image[1:, ..., :3], bench)
    torch.testing.assert_close(made[1:], alone)
    assert bench.progressed == [(0, 2), (1, 2), (0, 1)]


def test_tiles_leave_no_seams(bench):
    """A model that sees less far than tiles overlap: away from edges, tiles change nothing."""
    model = load(bench, compact(convolutions=1, scale=2))
    image = picture(1, 40, 700)

    made = image_upscale_with_model(model, image, bench)

    whole = model.enlarge(image.movedim(-1, 1)).clamp(0, 1).movedim(1, -1)
    assert len(bench.progressed) == 2
    assert (made - whole).abs().max() < 0.05
    assert (made - whole)[:, :, :900].abs().max() < 1e-6


def test_a_cancelled_run_stops_at_the_next_tile(tmp_path):
    stopped = Bench(tmp_path, cancel_at=2)
    model = load(stopped, compact(scale=1))

    with pytest.raises(InterruptedError):
        image_upscale_with_model(model, picture(3, 8, 8), stopped)

    assert stopped.progressed == [(0, 3)]


def test_what_does_not_fit_into_memory_is_made_in_smaller_tiles(bench):
    sizes = []

    def greedy(tile):
        sizes.append(max(tile.shape[-2:]))
        if sizes[-1] > 128:
            raise RuntimeError(LACKS_MEMORY)
        return doubled(tile)

    given = grid((1, 3, 300, 200), 0.01)
    made = upscale_tiled(greedy, given, 2, bench)

    torch.testing.assert_close(made, doubled(given))
    assert sizes[:3] == [300, 256, 128]
    assert [notice.split(" tiles of ")[1] for notice in bench.notices] == [
        "256 by 256 pixels.",
        "128 by 128 pixels.",
    ]


def test_a_lack_of_memory_that_smaller_tiles_do_not_mend_is_an_error(bench):
    def never(tile):
        raise RuntimeError(LACKS_MEMORY)

    with pytest.raises(RuntimeError, match="out of memory"):
        upscale_tiled(never, grid((1, 3, 300, 200), 0.01), 2, bench)

    assert len(bench.notices) == 2


def test_other_failures_are_not_tried_again(bench):
    def broken(tile):
        raise RuntimeError(tile.shape)

    with pytest.raises(RuntimeError, match="300"):
        upscale_tiled(broken, grid((1, 3, 300, 200), 0.01), 2, bench)

    assert bench.notices == []


def test_other_files_are_refused_with_what_would_work(bench):
    with pytest.raises(
        UnrecognisedFileError, match=r"holds no upscale model .*1, such as x"
    ) as refused:
        load(bench, {"x": torch.zeros(2)})

    assert "ESRGAN" in refused.value.hint
    grey = esrgan() | {"conv_last.weight": torch.zeros(1, 8, 3, 3)}
    with pytest.raises(UnrecognisedFileError, match="3 channels in, 1 out"):
        load(bench, grey, "grey.safetensors")


def test_an_incomplete_file_is_named(bench):
    tensors = esrgan()
    del tensors["body.1.rdb2.conv3.bias"]
    model = load(bench, tensors)

    with pytest.raises(MissingWeightsError, match=r"no body\.1\.rdb2\.conv3\.bias"):
        model.enlarge(picture(1, 8, 8).movedim(-1, 1))


def test_a_pickle_is_refused(bench):
    path = bench.root / "models" / "upscale_models" / "RealESRGAN_x4plus.pth"
    path.parent.mkdir(parents=True)
    torch.save({"params_ema": esrgan()}, path)

    with pytest.raises(PickleRefusedError):
        upscale_model_loader(path.name, bench)


def test_a_pickle_works_where_it_is_allowed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NODEGRAPH_PACKS", "nodes")
    monkeypatch.setenv("NODEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    for folder in ("models/upscale_models", "input", "output"):
        (tmp_path / folder).mkdir(parents=True)
    torch.save({"params_ema": esrgan()}, tmp_path / "models/upscale_models/RealESRGAN_x4plus.pth")
    Pictures.new("RGB", (12, 8), "teal").save(tmp_path / "input" / "teal.png")
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "teal.png"}},
        "2": {
            "class_type": "UpscaleModelLoader",
            "inputs": {"model_name": "RealESRGAN_x4plus.pth"},
        },
        "3": {
            "class_type": "ImageUpscaleWithModel",
            "inputs": {"upscale_model": ["2", 0], "image": ["1", 0]},
        },
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }

    refused = CliRunner().invoke(cli, ["run", "-"], input=json.dumps(graph))
    done = CliRunner().invoke(cli, ["run", "-", "--allow-pickle"], input=json.dumps(graph))

    assert (refused.exit_code, done.exit_code) == (2, 0), done.output
    assert "[pickle_refused]" in refused.stderr
    with Pictures.open(tmp_path / "output" / "x_00001_.png") as made:
        assert made.size == (48, 32)
