"""Pictures in prompts are seen on the simulated device as they are on the CPU."""

import torch

from nodes.builtin.conditioning import edit_prompts
from nodes.builtin.conditioning.edit_prompts import text_encode_qwen_image_edit_plus
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.text_encoders import clip_loader
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import sampled
from tests.tiny_models.whole_models import tiny_qwen_image

MODEL, VAE = "qwen_image_2512_fp8_e4m3fn.safetensors", "qwen_image_vae.safetensors"
TEXT = "qwen_2.5_vl_7b_fp8_scaled.safetensors"


def edited(root, device):
    """The tokens of an instruction with a picture, and the latent that is made of it."""
    bench = Bench(root)
    clip = clip_loader(TEXT, "qwen_image", ctx=bench)
    vision = clip.text.encoders[0].vision
    assert vision is not None
    assert vision.placement.device.type == device
    image = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    text = text_encode_qwen_image_edit_plus(clip, "a", vae_loader(VAE, bench), image, ctx=bench)
    model = unet_loader(MODEL, "default", bench)
    return text.conds[0].tokens.cpu(), sampled(bench, model, text, text, 1.0).cpu()


def test_an_edit_on_the_device_is_that_on_the_cpu(simulated, tmp_path, monkeypatch):
    del simulated
    for name in ("SEEN", "READ"):
        monkeypatch.setattr(edit_prompts, name, 64 * 64)
    tiny_qwen_image(tmp_path / "models")

    tokens, latent = edited(tmp_path, "simulated")

    cpu = torch.device("cpu")
    monkeypatch.setattr("nodes.models.loading.placement.default_device", lambda: cpu)
    expected, other = edited(tmp_path, "cpu")
    torch.testing.assert_close(tokens, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(latent, other, rtol=0, atol=1e-4)
