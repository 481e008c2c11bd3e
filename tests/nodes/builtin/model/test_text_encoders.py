"""Text encoders in files of their own: in any order, shared, and what is wrong with others."""

import shutil

import pytest
import torch

from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.model.text_encoders import clip_loader, dual_clip_loader, triple_clip_loader
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.errors import TextEncoderError, UnknownTypeError
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.errors import MissingPartError
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.loading.text_files import open_text_files
from nodes.models.networks.base.errors import WrongConditioningError
from nodes.models.weights.quantized import QuantizedTensor
from nodes.preflight import models
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import (
    LETTERS,
    small_ae16,
    small_clip,
    small_flux,
    small_sd3,
    small_sdxl,
    small_t5,
    write,
)
from tests.tiny_models.handles import opened

L, H, G, T5 = "l.safetensors", "h.safetensors", "g.safetensors", "t5.safetensors"
QUERY = "block.0.layer.0.SelfAttention.q.weight"
PROMPT = "the (in:1.5)"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    folder = bench.root / "models" / "text_encoders"
    t5 = small_t5()
    files = {L: small_clip(768), H: small_clip(1024), G: small_clip(1280), T5: t5}
    files["vae.safetensors"] = small_ae16()
    files["t5_fp8.safetensors"] = {
        key: value.to(torch.float8_e4m3fn) if value.ndim == 2 else value
        for key, value in t5.items()
    }
    files["t5_fp32.safetensors"] = {key: value.float() for key, value in t5.items()}
    for name, tensors in files.items():
        write(folder / name, tensors, LETTERS)
    shutil.copy(folder / T5, folder / "t5_copy.safetensors")
    (folder / "cut.safetensors").write_bytes((folder / L).read_bytes()[:-100])
    return bench


def encoded(clip, bench):
    (cond,) = clip_text_encode(PROMPT, clip, bench).conds
    return cond


def family_of(clip):
    """The name of the set of encoders that a clip holds."""
    assert clip.text.encoder_set is not None
    return clip.text.encoder_set.name


def names(clip):
    return [encoder.name for encoder in clip.text.encoders]


@pytest.mark.parametrize(
    ("kind", "first", "second", "style"),
    [("flux", L, T5, "flux"), ("sdxl", L, G, "sdxl"), ("sd3", L, G, "sd3"), ("sd3", G, T5, "sd3")],
)
def test_two_files_may_come_in_any_order(bench, kind, first, second, style):
    clip = dual_clip_loader(first, second, kind, ctx=bench)
    turned = dual_clip_loader(second, first, kind, ctx=bench)

    assert family_of(clip) == style
    assert clip == turned
    assert torch.equal(encoded(clip, bench).tokens, encoded(turned, bench).tokens)


def test_three_files_may_come_in_any_order(bench):
    clip = triple_clip_loader(T5, G, L, bench)

    assert clip == triple_clip_loader(L, G, T5, bench)
    assert names(clip) == ["clip_l", "clip_g", "t5xxl"]


@pytest.mark.parametrize(
    ("kind", "name", "style"),
    [
        ("stable_diffusion", L, "sd15"),
        ("stable_diffusion", H, "sd2"),
        ("stable_diffusion", G, "sdxl_refiner"),
        ("sd3", L, "sd3"),
        ("sd3", T5, "sd3"),
    ],
)
def test_a_single_file_tells_the_family(bench, kind, name, style):
    assert family_of(clip_loader(name, kind, ctx=bench)) == style


def test_sd3_does_with_one_encoder(bench):
    pooled = encoded(clip_loader(G, "sd3", ctx=bench), bench).pooled

    assert pooled is not None
    assert pooled.shape == (1, 2048)
    assert not pooled[:, :768].any()
    assert pooled[:, 768:].any()


def test_t5_is_the_same_in_every_precision_that_holds_its_numbers(bench):
    clips = [
        dual_clip_loader(L, name, "flux", ctx=bench)
        for name in (T5, "t5_fp32.safetensors", "t5_fp8.safetensors")
    ]

    half, full, narrow = (encoded(clip, bench).tokens for clip in clips)

    assert torch.equal(half, full)
    off = (narrow - half).std() / half.std()
    assert 0 < off < 0.1


def test_narrow_weights_stay_narrow_in_memory(bench):
    clip = clip_loader("t5_fp8.safetensors", "sd3", ctx=bench)

    weight = clip.text.encoders[0].network.module().state_dict()[QUERY]

    assert isinstance(weight, QuantizedTensor)
    assert weight.packed.dtype == torch.float8_e4m3fn


def test_one_t5_serves_every_family(bench):
    flux = dual_clip_loader(L, T5, "flux", ctx=bench)
    sd3 = triple_clip_loader(L, G, T5, bench)
    copy = dual_clip_loader(L, "t5_copy.safetensors", "flux", ctx=bench)

    assert sd3.text.found[2].network is flux.text.found[1].network
    assert copy.text.found[1].network is flux.text.found[1].network
    assert sd3.text.found[2].rules.min_length == 77
    assert flux.text.found[1].rules.min_length == 256


def test_a_checkpoints_own_t5_is_another_file(bench, tmp_path):
    prefix = "text_encoders.t5xxl.transformer."
    tensors = small_sd3() | {prefix + key: value for key, value in small_t5().items()}
    path = write(tmp_path / "sd3.safetensors", tensors)
    alone = bench.root / "models" / "text_encoders" / T5
    pool = ModelPool()

    checkpoint = open_checkpoint(path, "checkpoint", pool)
    lone = open_text_files([(alone, "alone")], "sd3", pool)

    (inside,) = (each for each in checkpoint.text.found if each.name == "t5xxl")
    assert lone.found[0].network is not inside.network
    ours, theirs = (each.network.module().state_dict() for each in (lone.found[0], inside))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_text_encoder_may_be_kept_on_the_cpu(bench):
    clip = clip_loader(L, "stable_diffusion", "cpu", ctx=bench)

    assert clip.text.found[0].network.placement.device.type == "cpu"


WRONG = [
    (("sdxl", L, L), TextEncoderError, "so does another file"),
    (("sdxl", L, T5), TextEncoderError, "t5xxl, which type 'sdxl' does not use"),
    (("flux", L, H), TextEncoderError, "clip_h, which type 'flux' does not use"),
    (("sd3", L, "vae.safetensors"), UnrecognisedFileError, "vae.safetensors' holds no text"),
    (("hidream", L, G), UnknownTypeError, "no model family here"),
    (("sdxl", "cut.safetensors", G), NodeGraphError, "is incomplete"),
]


@pytest.mark.parametrize(("given", "error", "said"), WRONG)
def test_what_does_not_fit_is_refused_before_the_run_and_in_it(bench, given, error, said):
    kind, first, second = given
    inputs = {"type": kind, "clip_name1": first, "clip_name2": second}
    files = Files(Folders.under(bench.root))

    with pytest.raises(error, match=said):
        dual_clip_loader(first, second, kind, ctx=bench)
    with pytest.raises(error, match=said):
        models.two_text_encoders(inputs, files)


def test_t5_alone_is_no_text_encoder_of_stable_diffusion(bench):
    with pytest.raises(TextEncoderError, match="It uses clip_l, clip_h, clip_g") as caught:
        clip_loader(T5, "stable_diffusion", ctx=bench)

    assert caught.value.message.startswith("'t5.safetensors' holds t5xxl")


def test_a_checkpoint_that_lacks_one_of_its_encoders_names_it(tmp_path, bench):
    kept = ("model.", "first_stage_model.", "conditioner.embedders.0.")
    tensors = {key: value for key, value in small_sdxl().items() if key.startswith(kept)}
    clip = ClipHandle(opened(write(tmp_path / "a.safetensors", tensors)).text)

    with pytest.raises(MissingPartError, match="holds no text encoder clip_g"):
        encoded(clip, bench)


@pytest.mark.parametrize("build", [small_sd3, small_flux])
def test_transformers_refuse_conditions_of_another_family(tmp_path, build):
    model = ModelHandle(opened(write(tmp_path / "a.safetensors", build())).model)
    config = model.model.network.spec.config
    text, pooled = config["joint_attention_dim"], config["pooled_projection_dim"]
    x, sigma = torch.zeros(1, 16, 4, 4), torch.ones(1)

    with pytest.raises(WrongConditioningError, match=f"text is 768 wide, this model's is {text}"):
        denoise(model, x, sigma, CondBatch(torch.ones(1, 77, 768)))
    with pytest.raises(WrongConditioningError, match=f"is 7 wide, this model's is {pooled}"):
        denoise(model, x, sigma, CondBatch(torch.ones(1, 77, text), torch.ones(1, 7)))
