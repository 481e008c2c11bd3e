"""The autoencoder of Qwen-Image 2.1 is that of diffusers, with an alpha channel in its pictures."""

from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21

from nodes.builtin.image.files import save_image
from nodes.builtin.latent.vae import (
    vae_decode,
    vae_decode_tiled,
    vae_encode,
    vae_encode_for_inpaint,
    vae_encode_tiled,
)
from nodes.builtin.model.checkpoints import vae_loader
from nodes.models.export.checkpoint import vae_tensors
from nodes.models.families.base.vaes.qwen21_vae import LATENT, qwen21_vae_table
from nodes.models.families.base.vaes.vae import read_lone_vae
from nodes.models.weights.header import Header, TensorInfo
from nodes.sampling.conditioning.latents import LatentFormat
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import assert_close
from tests.tiny_models.checkpoints import write
from tests.tiny_models.qwen21_vae import small_qwen21_vae

VAE = "qwen_image_2.1_vae_bf16.safetensors"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    write(bench.root / f"models/vae/{VAE}", small_qwen21_vae())
    return bench


@pytest.fixture(scope="module")
def vae(bench):
    return vae_loader(VAE, bench)


@pytest.fixture(scope="module")
def theirs():
    return their_vae()


def their_vae():
    """Diffusers' network on the same weights; `test_the_names…` has the names from their source."""
    made = AutoencoderKLQwenImage21(base_dim=4, decoder_base_dim=6, num_res_blocks=1)
    file = small_qwen21_vae()
    table = qwen21_vae_table(made.state_dict(), "")
    weights = {key: file[source.key].float() for key, source in table.items()}
    shapes = {key: weight.shape for key, weight in made.state_dict().items()}
    made.load_state_dict({key: weight.reshape(shapes[key]) for key, weight in weights.items()})
    return made.eval()


PAIRS = {
    "quant_conv.weight": "conv1.weight",
    "post_quant_conv.bias": "conv2.bias",
    "encoder.conv_in.weight": "encoder.conv1.weight",
    "decoder.norm_out.gamma": "decoder.head.0.gamma",
    "encoder.conv_out.weight": "encoder.head.2.weight",
    "encoder.mid_block.resnets.0.norm1.gamma": "encoder.middle.0.residual.0.gamma",
    "decoder.mid_block.resnets.1.norm2.gamma": "decoder.middle.2.residual.3.gamma",
    "encoder.mid_block.attentions.0.to_qkv.weight": "encoder.middle.1.to_qkv.weight",
    "encoder.down_blocks.0.resnets.0.conv1.weight": (
        "encoder.downsamples.0.downsamples.0.residual.2.weight"
    ),
    "encoder.down_blocks.1.resnets.1.conv2.bias": (
        "encoder.downsamples.1.downsamples.1.residual.6.bias"
    ),
    "encoder.down_blocks.1.resnets.0.conv_shortcut.weight": (
        "encoder.downsamples.1.downsamples.0.shortcut.weight"
    ),
    "encoder.down_blocks.0.downsampler.resample.1.weight": (
        "encoder.downsamples.0.downsamples.2.resample.1.weight"
    ),
    "decoder.up_blocks.0.upsampler.time_conv.weight": (
        "decoder.upsamples.0.upsamples.3.time_conv.weight"
    ),
    "decoder.up_blocks.1.resnets.2.conv2.bias": "decoder.upsamples.1.upsamples.2.residual.6.bias",
}


def test_the_names_are_those_of_published_files():
    network = AutoencoderKLQwenImage21(base_dim=4, decoder_base_dim=6)

    table = qwen21_vae_table(network.state_dict(), "")

    assert {key: table[key].key for key in PAIRS} == PAIRS
    assert len({source.key for source in table.values()}) == len(table)


def test_pictures_with_alpha_are_encoded_and_decoded_as_by_diffusers(bench, vae, theirs):
    picture = torch.rand(2, 64, 32, 4)

    latent = vae_encode(picture, vae, bench)
    image = vae_decode(latent, vae, bench)

    frames = (picture * 2 - 1).movedim(-1, 1).unsqueeze(2)
    expected = theirs.encode(frames).latent_dist.mean
    assert latent.samples.shape == (2, 64, 4, 2)
    assert_close(latent.samples, expected[:, :, 0])
    pixels = theirs.decode(expected).sample[:, :, 0].movedim(1, -1)
    assert image.shape == picture.shape
    torch.testing.assert_close(image, pixels / 2 + 0.5, rtol=0, atol=1e-4)


def test_a_picture_without_alpha_is_opaque(bench, vae):
    picture = torch.rand(1, 32, 32, 3)
    opaque = torch.cat([picture, torch.ones(1, 32, 32, 1)], dim=-1)
    clear = torch.cat([picture, torch.zeros(1, 32, 32, 1)], dim=-1)

    found = vae_encode(picture, vae, bench).samples

    assert torch.equal(found, vae_encode(opaque, vae, bench).samples)
    assert not torch.allclose(found, vae_encode(clear, vae, bench).samples, atol=1e-2)


def test_tiles_and_masks_know_the_channels(bench, vae):
    picture = torch.rand(1, 128, 96, 3)
    whole = vae_encode(picture, vae, bench).samples

    tiled = vae_encode_tiled(picture, vae, bench, tile_size=64, overlap=32).samples
    masked = vae_encode_for_inpaint(picture, vae, torch.zeros(1, 128, 96), bench)

    assert tiled.shape == whole.shape
    torch.testing.assert_close(masked.samples, whole)
    small = vae_decode_tiled(Latent(whole), vae, bench, tile_size=64, overlap=32)
    assert small.shape == (1, 128, 96, 4)


def test_the_alpha_of_a_decoded_picture_is_saved(bench, vae):
    image = vae_decode(Latent(torch.randn(1, 64, 2, 2)), vae, bench)

    save_image(image, "alpha", ctx=bench)

    (path,) = (bench.root / "output").glob("alpha*.png")
    kind = path.read_bytes()[25]
    assert kind == 6, "the header of a PNG says 6 for colours with alpha"


def test_each_channel_of_latents_is_normed_by_its_mean_and_deviation(theirs):
    latents = LatentFormat(LATENT.channels, LATENT.downscale, LATENT.scale, LATENT.shift)
    raw = torch.linspace(-3, 3, 256).reshape(1, 64, 2, 2)
    mean, deviation = (
        torch.tensor(theirs.config[name])[None, :, None, None]
        for name in ("latents_mean", "latents_std")
    )

    torch.testing.assert_close(latents.to_model(raw), (raw - mean) / deviation)


def test_it_is_read_in_diffusers_names_and_saved_in_the_originals(bench, vae, theirs):
    tensors = {key: tensor.half() for key, tensor in theirs.state_dict().items()}
    write(bench.root / "models/vae/own.safetensors", tensors)

    own = vae_loader("own.safetensors", bench)

    assert own.vae.network.spec.config == vae.vae.network.spec.config
    saved, original = vae_tensors(own), small_qwen21_vae()
    assert saved.keys() == original.keys()
    assert all(torch.equal(saved[key], original[key]) for key in original)


def test_the_published_file_is_read_from_its_shapes():
    down = "encoder.downsamples.{}.downsamples.{}."
    shapes = {
        "encoder.conv1.weight": (96, 4, 1, 3, 3),
        "decoder.upsamples.0.upsamples.0.residual.2.weight": (1152, 1152, 1, 3, 3),
        "decoder.head.0.gamma": (144, 1, 1, 1),
        "decoder.head.2.weight": (4, 144, 1, 3, 3),
        "conv2.weight": (64, 64, 1, 1, 1),
        "encoder.downsamples.0.downsamples.1.residual.2.weight": (96, 96, 1, 3, 3),
    }
    for level, width in enumerate((96, 192, 384, 768, 768)):
        shapes[down.format(level, 0) + "residual.2.weight"] = (width, 96, 1, 3, 3)
        if 0 < level < 4:
            shapes[down.format(level, 2) + "time_conv.weight"] = (width, width, 1, 1, 1)
    infos = {key: TensorInfo("BF16", shape) for key, shape in shapes.items()}

    spec = read_lone_vae(Header(Path(VAE), infos, {}))

    assert spec.network.config == {
        "base_dim": 96,
        "decoder_base_dim": 144,
        "z_dim": 64,
        "dim_mult": [1, 2, 4, 8, 8],
        "num_res_blocks": 2,
        "temperal_downsample": [False, True, True, True],
        "in_channels": 4,
        "out_channels": 4,
    }
    assert (spec.latent.channels, spec.latent.downscale, spec.picture_channels) == (64, 16, 4)
