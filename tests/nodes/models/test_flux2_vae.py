"""The autoencoder of FLUX.2 is that of diffusers, with the norm that its pipelines add."""

from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline

from nodes.builtin.latent.latents import empty_flux2_latent_image
from nodes.builtin.latent.vae import (
    vae_decode,
    vae_decode_tiled,
    vae_encode,
    vae_encode_for_inpaint,
    vae_encode_tiled,
)
from nodes.builtin.model.checkpoints import vae_loader
from nodes.models.export.checkpoint import vae_tensors
from nodes.models.families.base.vaes.flux2_vae import flux2_vae_table
from nodes.models.families.base.vaes.vae import read_lone_vae
from nodes.models.networks.base.errors import ChannelMismatchError
from nodes.models.weights.header import Header, TensorInfo
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import assert_close
from tests.tiny_models.checkpoints import write
from tests.tiny_models.flux2_vae import WIDTHS, small_flux2_vae, their_flux2_vae

VAE = "flux2-vae.safetensors"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    write(bench.root / f"models/vae/{VAE}", small_flux2_vae())
    return bench


@pytest.fixture(scope="module")
def vae(bench):
    return vae_loader(VAE, bench)


@pytest.fixture(scope="module")
def theirs():
    """Diffusers' network on the same weights; `test_the_names…` has the names from their source."""
    return their_flux2_vae()


PAIRS = {
    "quant_conv.weight": "encoder.quant_conv.weight",
    "post_quant_conv.bias": "decoder.post_quant_conv.bias",
    "encoder.conv_norm_out.weight": "encoder.norm_out.weight",
    "encoder.down_blocks.1.resnets.0.conv_shortcut.weight": (
        "encoder.down.1.block.0.nin_shortcut.weight"
    ),
    "encoder.mid_block.attentions.0.to_q.weight": "encoder.mid.attn_1.q.weight",
    "decoder.up_blocks.0.upsamplers.0.conv.weight": "decoder.up.3.upsample.conv.weight",
    "bn.running_mean": "bn.running_mean",
    "bn.running_var": "bn.running_var",
}


def test_the_names_are_those_of_published_files():
    network = AutoencoderKLFlux2(block_out_channels=WIDTHS)

    table = flux2_vae_table(network.state_dict(), "")

    assert {key: table[key].key for key in PAIRS} == PAIRS


def their_latent(theirs, picture):
    """Return the latent as the pipelines of diffusers norm it, and as their network has it."""
    raw = theirs.encode((picture * 2 - 1).movedim(-1, 1)).latent_dist.mode()
    packed = Flux2KleinPipeline._patchify_latents(raw)
    deviation = (theirs.bn.running_var + theirs.config.batch_norm_eps).sqrt()
    mean = theirs.bn.running_mean
    return (packed - mean[None, :, None, None]) / deviation[None, :, None, None], raw


def test_pictures_are_encoded_and_decoded_as_by_diffusers(bench, vae, theirs):
    picture = torch.rand(2, 64, 32, 3)

    latent = vae_encode(picture, vae, bench)
    image = vae_decode(latent, vae, bench)

    normed, raw = their_latent(theirs, picture)
    assert latent.samples.shape == (2, 128, 4, 2)
    assert_close(latent.samples, normed)
    pixels = theirs.decode(raw).sample.movedim(1, -1) / 2 + 0.5
    torch.testing.assert_close(image, pixels.clamp(0, 1), rtol=0, atol=1e-4)


def test_an_empty_latent_is_decoded_and_another_familys_is_refused(bench, vae):
    image = vae_decode(empty_flux2_latent_image(72, 40, 1), vae, bench)

    assert image.shape == (1, 32, 64, 3)
    with pytest.raises(ChannelMismatchError, match="128"):
        vae_decode(Latent(torch.zeros(1, 16, 4, 4)), vae, bench)


def test_tiles_and_masks_are_in_steps_of_sixteen_pixels(bench, vae):
    picture = torch.rand(1, 136, 100, 3)
    whole = vae_encode(picture, vae, bench).samples

    tiled = vae_encode_tiled(picture, vae, bench, tile_size=64, overlap=32).samples
    masked = vae_encode_for_inpaint(picture, vae, torch.zeros(1, 136, 100), bench)

    assert whole.shape == tiled.shape == (1, 128, 8, 6)
    torch.testing.assert_close(masked.samples, whole)
    assert masked.noise_mask is not None
    assert masked.noise_mask.shape == (1, 1, 128, 96)
    small = vae_decode_tiled(Latent(whole), vae, bench, tile_size=64, overlap=32)
    assert small.shape == (1, 128, 96, 3)


def test_it_is_read_in_diffusers_names_and_saved_in_the_originals(bench, vae, theirs):
    tensors = {
        key: tensor if "num_batches" in key else tensor.half()
        for key, tensor in theirs.state_dict().items()
    }
    write(bench.root / "models/vae/own.safetensors", tensors)

    own = vae_loader("own.safetensors", bench)

    assert own.vae.network.spec.config == vae.vae.network.spec.config
    saved, original = vae_tensors(own), small_flux2_vae()
    assert saved.keys() == original.keys()
    assert all(torch.equal(saved[key], original[key]) for key in original)


def test_layers_beside_the_halves_are_read_too(bench, vae):
    moved = {
        key.removeprefix("encoder.").removeprefix("decoder.") if "quant_conv" in key else key: each
        for key, each in small_flux2_vae().items()
    }
    write(bench.root / "models/vae/beside.safetensors", moved)

    beside = vae_loader("beside.safetensors", bench)

    picture = torch.rand(1, 32, 32, 3)
    found = vae_encode(picture, beside, bench).samples
    assert torch.equal(found, vae_encode(picture, vae, bench).samples)


def test_the_published_files_are_read_from_their_shapes():
    """The decoder of `full_encoder_small_decoder.safetensors` is narrower than the encoder."""
    shapes = {
        "decoder.conv_in.weight": (384, 32, 3, 3),
        "encoder.down.0.block.1.conv1.weight": (128, 128, 3, 3),
        "encoder.quant_conv.weight": (64, 64, 1, 1),
        "decoder.post_quant_conv.weight": (32, 32, 1, 1),
        "encoder.mid.attn_1.norm.weight": (512,),
        "bn.running_mean": (128,),
    }
    sizes = zip((128, 256, 512, 512), (96, 192, 384, 384), strict=True)
    for level, (down, up) in enumerate(sizes):
        shapes[f"encoder.down.{level}.block.0.conv1.weight"] = (down, 128, 3, 3)
        shapes[f"decoder.up.{level}.block.0.conv1.weight"] = (up, 384, 3, 3)
    infos = {key: TensorInfo("F32", shape) for key, shape in shapes.items()}

    spec = read_lone_vae(Header(Path(VAE), infos, {}))

    assert spec.network.config == {
        "block_out_channels": [128, 256, 512, 512],
        "decoder_block_out_channels": [96, 192, 384, 384],
        "layers_per_block": 2,
        "latent_channels": 32,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "use_quant_conv": True,
        "use_post_quant_conv": True,
        "mid_block_add_attention": True,
    }
    assert (spec.latent.channels, spec.latent.downscale) == (128, 16)
