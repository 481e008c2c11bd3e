"""The autoencoder of FLUX.2 with random weights; see `random_weights`."""

from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

from nodes.models.families.base.vaes.flux2_vae import flux2_vae_table
from tests.tiny_models.random_weights import Draw, Tensors, vae

CHANNELS = 32
WIDTHS = (32, 64, 64, 64)


def flux2_vae(draw: Draw, *, prefix: str = "") -> None:
    """Four levels of 32 to 64 channels, as the original lays it out."""
    vae(draw, 32, (1, 2, 2, 2), channels=CHANNELS, prefix=prefix)
    draw.conv(f"{prefix}encoder.quant_conv", 2 * CHANNELS, 2 * CHANNELS, 1)
    draw.conv(f"{prefix}decoder.post_quant_conv", CHANNELS, CHANNELS, 1)
    draw.put(f"{prefix}bn.running_mean", (4 * CHANNELS,), 0.3, 0.1)
    draw.put(f"{prefix}bn.running_var", (4 * CHANNELS,), 0.25, 0.5)


def small_flux2_vae() -> Tensors:
    """One in a file of its own."""
    draw = Draw(23)
    flux2_vae(draw)
    return draw.tensors


def their_flux2_vae() -> AutoencoderKLFlux2:
    """Diffusers' network on the same weights, by the names in our table."""
    made = AutoencoderKLFlux2(block_out_channels=WIDTHS)
    file = small_flux2_vae()
    table = flux2_vae_table((key for key in made.state_dict() if "num_batches" not in key), "")
    shapes = {key: weight.shape for key, weight in made.state_dict().items()}
    weights = {key: file[at.key].float().reshape(shapes[key]) for key, at in table.items()}
    made.load_state_dict({**made.state_dict(), **weights})
    return made.eval()
