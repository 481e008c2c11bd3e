"""TAESD: as a VAE, in either layout, and for previews."""

import json
from functools import cache
from io import BytesIO

import pytest
import torch
from click.testing import CliRunner
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from PIL import Image as Pictures

from nodegraph.cli import cli
from nodegraph.errors import UnknownFileError
from nodegraph.packs.object_info import input_info
from nodes.builtin.latent.vae import vae_decode, vae_encode
from nodes.builtin.model.checkpoints import vae_loader
from nodes.inference.previews import choose_preview, preview
from nodes.models.families.base.errors import MissingWeightsError, UnrecognisedFileError
from nodes.models.families.base.spec import LatentRules
from nodes.models.families.base.vaes.tiny_vae import KNOWN, name_for
from nodes.models.families.registry import families
from nodes.models.loading.handles import ModelHandle
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid, picture
from tests.tiny_models.checkpoints import (
    small_flux,
    small_lotus,
    small_sd3,
    small_sd15,
    small_sd21,
    small_sdxl,
    write,
)
from tests.tiny_models.folders import whole_chroma, whole_z_image
from tests.tiny_models.handles import opened
from tests.tiny_models.whole_models import small_longcat_image, whole_lumina2


@cache
def tiny(channels):
    """Diffusers' own, with random weights."""
    torch.manual_seed(channels)
    widths = (8, 8, 8, 8)
    return AutoencoderTiny(
        latent_channels=channels,
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
    ).eval()


def halves(channels):
    """Its weights as the original's two files have them."""
    found = {"encoder": {}, "decoder": {}}
    for key, tensor in tiny(channels).state_dict().items():
        half, _, number, rest = key.split(".", 3)
        layer = int(number) + (half == "decoder")
        found[half][f"{layer}.{rest}"] = tensor
    return found


def put_pair(bench, name):
    for half, tensors in halves(KNOWN[name][0]).items():
        write(bench.root / "models" / "vae_approx" / f"{name}_{half}.safetensors", tensors)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize("name", KNOWN)
def test_a_pair_decodes_what_diffusers_does_of_the_scaled_latent(bench, name):
    channels, scale, shift = KNOWN[name]
    put_pair(bench, name)
    vae = vae_loader(name, bench)
    latent = grid((1, channels, 5, 7), 0.37)

    with torch.no_grad():
        (expected,) = tiny(channels).decode((latent - shift) * scale, return_dict=False)

    image = vae_decode(Latent(latent), vae, bench)
    shown = ((expected + 1) / 2).clamp(0, 1).movedim(1, -1)
    torch.testing.assert_close(image, shown)
    assert (vae.channels, vae.downscale) == (channels, 8)


@pytest.mark.parametrize("name", KNOWN)
def test_a_pair_encodes_what_diffusers_does_and_scales_it_back(bench, name):
    channels, scale, shift = KNOWN[name]
    put_pair(bench, name)
    pixels = picture(1, 32, 40)

    latent = vae_encode(pixels, vae_loader(name, bench), bench)

    with torch.no_grad():
        (expected,) = tiny(channels).encode(pixels.movedim(-1, 1) * 2 - 1, return_dict=False)
    torch.testing.assert_close((latent.samples - shift) * scale, expected, atol=1e-5, rtol=1e-5)


def test_a_file_in_diffusers_layout_is_the_same_vae(bench):
    write(bench.root / "models" / "vae" / "my-taesdxl.safetensors", tiny(4).state_dict())
    put_pair(bench, "taesdxl")
    latent = Latent(grid((1, 4, 4, 4), 0.3))

    whole = vae_decode(latent, vae_loader("my-taesdxl.safetensors", bench), bench)

    assert torch.equal(whole, vae_decode(latent, vae_loader("taesdxl", bench), bench))


def test_a_file_whose_name_does_not_say_whose_it_is_is_refused(bench):
    write(bench.root / "models" / "vae" / "tiny.safetensors", tiny(4).state_dict())

    with pytest.raises(UnrecognisedFileError, match="taesd, taesdxl, taesd3, taef1"):
        vae_loader("tiny.safetensors", bench)


def test_a_pair_of_another_family_is_refused(bench):
    for half, tensors in halves(16).items():
        write(bench.root / "models" / "vae_approx" / f"taesd_{half}.safetensors", tensors)

    with pytest.raises(UnrecognisedFileError, match="16 channels, those of taesd have 4"):
        vae_loader("taesd", bench)


def test_a_pair_is_offered_while_both_its_files_are_there(bench):
    spec = vae_loader.spec.input("vae_name")
    assert spec is not None
    put_pair(bench, "taef1")
    encoder = halves(4)["encoder"]
    write(bench.root / "models" / "vae_approx" / "taesd_encoder.safetensors", encoder)

    assert input_info(spec, bench.files)[0] == ["pixel_space", "taef1"]
    with pytest.raises(UnknownFileError, match="taesd_decoder"):
        vae_loader("taesd", bench)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory in which workflows run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NODEGRAPH_PACKS", "nodes")
    monkeypatch.setenv("NODEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    for folder in ("models/checkpoints", "input", "output"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def run(graph, *options):
    text = json.dumps({k: {"class_type": t, "inputs": i} for k, (t, i) in graph.items()})
    return CliRunner().invoke(cli, ["run", "-", *options], input=text)


def test_a_workflow_names_a_pair_as_a_vae_and_no_other(here):
    put_pair(Bench(here), "taesd")
    graph = {
        "1": ("VAELoader", {"vae_name": "taesd"}),
        "2": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "3": ("VAEDecode", {"samples": ["2", 0], "vae": ["1", 0]}),
        "4": ("SaveImage", {"images": ["3", 0], "filename_prefix": "x"}),
    }

    done = run(graph)
    refused = run(graph | {"1": ("VAELoader", {"vae_name": "taesd3"})})

    assert (done.exit_code, refused.exit_code) == (0, 2), done.output
    assert (here / "output" / "x_00001_.png").is_file()
    assert "model taesd3 (node 1)" in refused.stderr
    assert "'taesd'" in refused.stderr


SMALL = {
    "sd15": small_sd15,
    "sd2": small_sd21,
    "lotus": small_lotus,
    "sdxl": small_sdxl,
    "sd3": small_sd3,
    "flux": small_flux,
    "z_image": whole_z_image,
    "chroma": whole_chroma,
    "lumina2": whole_lumina2,
    "longcat_image": small_longcat_image,
}
GREY = {"anima", "flux2", "flux3", "krea2", "qwen_image", "qwen_image21"}
"""Families whose rough previews are grey, for want of numbers: no small decoder is read either."""


@pytest.mark.parametrize("family", SMALL)
def test_every_family_has_a_matrix_and_a_small_decoder(bench, family):
    path = write(bench.root / "model.safetensors", SMALL[family]())
    model = ModelHandle(opened(path).model)
    rules = model.model.spec.latent
    name = name_for(rules)

    assert {each.name for each in families()} - SMALL.keys() == GREY
    assert len(rules.rgb) == rules.channels + 1
    assert name is not None
    put_pair(bench, name)
    x0 = grid((2, rules.channels, 8, 12), 0.21)
    bench.preview_method = "taesd"
    with torch.no_grad():
        (expected,) = tiny(rules.channels).decode(x0[:1], return_dict=False)

    shown = choose_preview(model, bench)(x0[:1])

    torch.testing.assert_close(
        shown, ((expected[0] + 1) / 2).clamp(0, 1).movedim(0, -1), atol=1e-4, rtol=1e-4
    )
    assert bench.notices == []


def test_a_decoders_preview_is_a_jpeg_of_the_pictures_size(bench):
    model = ModelHandle(opened(write(bench.root / "m.safetensors", small_sd15())).model)
    put_pair(bench, "taesd")
    bench.preview_method = "taesd"

    data, mime = preview(model, grid((2, 4, 8, 12), 0.21), choose_preview(model, bench))

    assert mime == "image/jpeg"
    with Pictures.open(BytesIO(data)) as shown:
        assert shown.size == (96, 64)


def test_without_the_decoder_previews_are_rough_and_say_why(bench):
    model = ModelHandle(opened(write(bench.root / "m.safetensors", small_sd15())).model)
    x0 = grid((1, 4, 8, 12), 0.21)
    rough = Bench(bench.root, preview_method="latent2rgb")
    bench.preview_method = "taesd"

    shown = choose_preview(model, bench)(x0)

    assert torch.equal(shown, choose_preview(model, rough)(x0))
    assert "taesd_decoder" in bench.notices[0]
    assert rough.notices == []


def test_latents_of_another_scale_have_no_small_decoder():
    assert name_for(LatentRules(4, 8, (0.5, 0.5, 0.5, 0.5), 0.0, tiny_vae="taesdxl")) is None
    assert name_for(LatentRules(4, 8, 0.18215)) is None


def test_an_incomplete_decoder_is_named(bench):
    parts = halves(4)
    del parts["decoder"]["3.conv.0.bias"]
    for half, tensors in parts.items():
        write(bench.root / "models" / "vae_approx" / f"taesd_{half}.safetensors", tensors)

    with pytest.raises(MissingWeightsError, match=r"no decoder\.layers\.2\.conv\.0\.bias"):
        vae_decode(Latent(torch.zeros(1, 4, 4, 4)), vae_loader("taesd", bench), bench)


def test_a_run_shows_previews_only_when_it_is_asked_to(here):
    write(here / "models" / "checkpoints" / "small.safetensors", small_sd15())
    put_pair(Bench(here), "taesd")
    graph = {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": "small.safetensors"}),
        "2": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "3": ("CLIPTextEncode", {"text": "", "clip": ["1", 1]}),
        "4": (
            "KSampler",
            {
                "model": ["1", 0], "positive": ["3", 0], "negative": ["3", 0],
                "latent_image": ["2", 0], "seed": 1, "steps": 2, "cfg": 1.0,
                "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            },
        ),
        "5": ("SaveLatent", {"samples": ["4", 0], "filename_prefix": "x"}),
    }  # fmt: skip

    def previews(*options):
        done = run(graph, *options)
        assert done.exit_code == 0, done.output
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return [event for event in events if event["event"] == "preview"]

    assert len(previews("--json", "--previews", "taesd")) == 2
    assert previews("--json") == []
