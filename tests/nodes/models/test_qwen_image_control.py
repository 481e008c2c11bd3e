"""ControlNets for Qwen-Image steer it as they do in diffusers' pipelines on the same weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from diffusers.models.controlnets.controlnet_qwenimage import QwenImageControlNetModel
from diffusers.pipelines.qwenimage.pipeline_qwenimage_controlnet import QwenImageControlNetPipeline
from diffusers.pipelines.qwenimage.pipeline_qwenimage_controlnet_inpaint import (
    QwenImageControlNetInpaintPipeline,
)
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)

from nodes.builtin.conditioning.controlnets import (
    control_net_apply_advanced,
    control_net_apply_sd3,
    control_net_inpainting_apply,
    control_net_loader,
)
from nodes.builtin.conditioning.flux import reference_latent
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.models.families.controlnets.registry import control_spec
from nodes.models.networks.base.errors import MissingInputError
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.weights.header import Header, TensorInfo
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import (
    assert_close,
    in_float32,
    sampled,
    start_of,
    text_of,
)
from tests.nodes.models.qwen_image_theirs import WIDTH, their_transformer, their_vae
from tests.tiny_models.checkpoints import write
from tests.tiny_models.control_networks import qwen_image_controlnet
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.whole_models import tiny_qwen_image

MODEL, VAE = "qwen_image_2512_fp8_e4m3fn.safetensors", "qwen_image_vae.safetensors"
UNION = "Qwen-Image-InstantX-ControlNet-Union.safetensors"
INPAINT = "Qwen-Image-InstantX-ControlNet-Inpainting.safetensors"


def tensors(extra=0, text=WIDTH, width=64):
    qwen_image_controlnet(draw := Draw(31), text=text, width=width, extra=extra)
    return draw.tensors


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    models = bench.root / "models"
    tiny_qwen_image(models)
    write(models / "controlnet" / UNION, tensors())
    write(models / "controlnet" / INPAINT, tensors(extra=4))
    write(models / "controlnet/narrow.safetensors", tensors(text=64, width=32))
    return bench


class MeanVae(AutoencoderKLQwenImage):
    """The VAE whose latents are the likeliest ones, which the pipelines draw at random."""

    def encode(self, x: torch.Tensor, return_dict: bool = True) -> Any:
        del return_dict
        found: Any = super().encode(x)
        found.latent_dist.std = torch.zeros_like(found.latent_dist.std)
        return found


def pipeline(kind: Any, extra: int = 0) -> Any:
    vae: Any = their_vae()
    vae.__class__ = MeanVae
    sizes: Any = {
        "num_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 4,
        "joint_attention_dim": WIDTH,
        "axes_dims_rope": (4, 6, 6),
        "extra_condition_channels": extra,
    }
    control = QwenImageControlNetModel(**sizes)
    control.load_state_dict(in_float32(tensors(extra)))
    scheduler = FlowMatchEulerDiscreteScheduler()
    made = kind(scheduler, vae, None, None, their_transformer(), control.eval())
    made.set_progress_bar_config(disable=True)
    return made


def theirs(made, model, text, **given):
    noise, sigmas = start_of(model)
    found = made(
        prompt_embeds=text.conds[0].tokens,
        prompt_embeds_mask=torch.ones(1, 5, dtype=torch.long),
        height=64,
        width=48,
        sigmas=sigmas,
        true_cfg_scale=1.0,
        latents=made._pack_latents(noise, 1, 16, 8, 6),
        output_type="latent",
        **given,
    ).images
    return made._unpack_latents(found, 64, 48, 8)[:, :, 0]


def picture():
    return torch.rand(1, 64, 48, 3, generator=torch.Generator().manual_seed(5))


def test_a_hint_has_the_effect_that_it_has_in_diffusers(bench):
    model, vae = unet_loader(MODEL, "default", bench), vae_loader(VAE, bench)
    control, text = control_net_loader(UNION, bench), text_of(WIDTH)

    steered, _ = control_net_apply_advanced(text, text, control, picture(), 0.7, 0.0, 1.0, vae)
    found = sampled(bench, model, steered, steered, 1.0)

    made = pipeline(QwenImageControlNetPipeline)
    hint = (picture() * 2 - 1).movedim(-1, 1)
    expected = theirs(made, model, text, control_image=hint, controlnet_conditioning_scale=0.7)
    assert_close(model.latent_format.to_model(found), expected)
    plain = sampled(bench, model, text, text, 1.0)
    assert (found - plain).std() / plain.std() > 0.05


def test_a_masked_hint_has_the_effect_that_it_has_in_diffusers(bench):
    model, vae = unet_loader(MODEL, "default", bench), vae_loader(VAE, bench)
    control, text = control_net_loader(INPAINT, bench), text_of(WIDTH)
    mask = torch.zeros(1, 64, 48)
    mask[:, 16:48, 8:32] = 1

    steered, _ = control_net_inpainting_apply(
        text, text, control, vae, picture(), mask, 1.0, 0.0, 1.0
    )
    found = sampled(bench, model, steered, steered, 1.0)

    made = pipeline(QwenImageControlNetInpaintPipeline, 4)
    hint = (picture() * 2 - 1).movedim(-1, 1)
    expected = theirs(
        made, model, text, control_image=hint, control_mask=mask[:, None],
        controlnet_conditioning_scale=1.0,
    )  # fmt: skip
    assert_close(model.latent_format.to_model(found), expected)


def test_a_hint_and_references_go_together(bench):
    model, vae = unet_loader(MODEL, "default", bench), vae_loader(VAE, bench)
    control = control_net_loader(UNION, bench)
    text = reference_latent(text_of(WIDTH), Latent(torch.ones(1, 16, 6, 6)))

    steered, _ = control_net_apply_sd3(text, text, control, vae, picture(), 1.0, 0.0, 1.0)
    found, plain = (sampled(bench, model, each, each, 1.0) for each in (steered, text))

    assert (found - plain).std() / plain.std() > 0.05


def test_what_does_not_fit_is_told(bench):
    model, vae = unet_loader(MODEL, "default", bench), vae_loader(VAE, bench)
    text = text_of(WIDTH)
    narrow = control_net_loader("narrow.safetensors", bench)
    steered, _ = control_net_apply_sd3(text, text, narrow, vae, picture(), 1.0, 0.0, 1.0)

    with pytest.raises(ModelMismatchError, match=r"narrow\.safetensors"):
        sampled(bench, model, steered, steered, 1.0)
    with pytest.raises(MissingInputError, match="VAE"):
        control_net_apply_advanced(
            text, text, control_net_loader(UNION, bench), picture(), 1.0, 0.0, 1.0
        )
    with pytest.raises(MissingInputError, match="ControlNetInpaintingAliMamaApply"):
        control_net_apply_sd3(
            text, text, control_net_loader(INPAINT, bench), vae, picture(), 1.0, 0.0, 1.0
        )


def test_the_published_sizes_are_read_from_shapes():
    shapes = {
        "img_in.weight": (3072, 64),
        "txt_in.weight": (3072, WIDTH),
        "controlnet_x_embedder.weight": (3072, 68),
        "controlnet_blocks.0.weight": (3072, 3072),
        "transformer_blocks.0.attn.norm_q.weight": (128,),
        **{f"transformer_blocks.{n}.img_mod.1.weight": (18432, 3072) for n in range(5)},
    }
    infos = {key: TensorInfo("BF16", shape) for key, shape in shapes.items()}

    spec = control_spec(Header(Path("a"), infos, {}))

    assert spec.masked
    assert spec.network.config == {
        "in_channels": 64,
        "num_layers": 5,
        "attention_head_dim": 128,
        "num_attention_heads": 24,
        "joint_attention_dim": WIDTH,
        "axes_dims_rope": [16, 56, 56],
        "extra_condition_channels": 4,
    }
