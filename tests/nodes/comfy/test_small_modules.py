"""Small modules of the host API: conditions' tensors, previewers, schedules, Perp-Neg's guider."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nodes
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.workflow.read import read_prompt
from nodes.comfy.host_modules import host_module
from nodes.comfy.values.conditions import conditioning_from
from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.models import PackModel
from nodes.inference.previews import by_matrix
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.noise_schedule.schedules import schedule

DEMO = Path(nodes.__file__).parent / "assets" / "demo-shapes.safetensors"
CONDS = host_module("comfy.conds")
PACK = """
from comfy_extras.nodes_perpneg import Guider_PerpNeg


class Guides:
    RETURN_TYPES = ("GUIDER",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        names = dict.fromkeys(("positive", "negative", "empty"), ("CONDITIONING",))
        return {"required": {"model": ("MODEL",), **names}}

    def run(self, model, positive, negative, empty):
        guider = type("Own", (Guider_PerpNeg,), {})(model)
        guider.set_conds(positive, negative, empty)
        guider.set_cfg(5.0, 0.7)
        return (guider,)


NODE_CLASS_MAPPINGS = {"ToyPerpNeg": Guides}
"""


@pytest.fixture(scope="module")
def model():
    return PackModel(ModelHandle(open_checkpoint(DEMO, str(DEMO), ModelPool()).model))


def entry(name: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": name, "inputs": inputs}


def test_a_packs_perp_neg_guider_is_ours(pack_engine):
    engine = pack_engine(PACK)
    texts = {"positive": ["red", 0], "negative": ["blue", 0]}
    rest = {
        "latent_image": ["empty", 0],
        "noise": ["seed", 0],
        "sampler": ["euler", 0],
        "sigmas": ["levels", 0],
    }
    graph = {
        "m": entry("CheckpointLoaderSimple", ckpt_name="demo-shapes.safetensors"),
        "red": entry("CLIPTextEncode", text="a red circle", clip=["m", 1]),
        "blue": entry("CLIPTextEncode", text="a blue square", clip=["m", 1]),
        "none": entry("CLIPTextEncode", text="", clip=["m", 1]),
        "empty": entry("EmptyLatentImage", width=64, height=64, batch_size=1),
        "seed": entry("RandomNoise", noise_seed=5),
        "euler": entry("KSamplerSelect", sampler_name="euler"),
        "levels": entry("KarrasScheduler", steps=2, sigma_max=9.0, sigma_min=0.2, rho=7.0),
        "ours": entry("PerpNegGuider", model=["m", 0], empty_conditioning=["none", 0], cfg=5.0,
                      neg_scale=0.7, **texts),
        "theirs": entry("ToyPerpNeg", model=["m", 0], empty=["none", 0], **texts),
        "a": entry("SamplerCustomAdvanced", guider=["ours", 0], **rest),
        "b": entry("SamplerCustomAdvanced", guider=["theirs", 0], **rest),
    }  # fmt: skip
    outputs: Any = engine.run(read_prompt(graph), targets=["a", "b"]).outputs

    torch.testing.assert_close(outputs["b"][0].samples, outputs["a"][0].samples)
    assert outputs["a"][0].samples.any()


def test_the_tensors_of_conditions_are_joined():
    one, many = torch.rand(1, 3), torch.rand(3, 3)
    first, second = CONDS.CONDRegular(one).process_cond(2), CONDS.CONDRegular(many[:2])

    assert first.cond.equal(one.expand(2, -1))
    assert first.can_concat(second)
    assert not first.can_concat(CONDS.CONDRegular(many))
    assert first.concat([second]).equal(torch.cat([one, one, many[:2]]))
    short, long = (CONDS.CONDCrossAttn(torch.rand(1, size, 2)) for size in (2, 4))
    assert short.can_concat(long)
    assert short.concat([long]).equal(torch.cat([short.cond.repeat(1, 2, 1), long.cond]))
    assert not short.can_concat(CONDS.CONDCrossAttn(torch.rand(1, 11, 2)))
    picture = torch.rand(1, 4, 6, 8)
    cut = CONDS.CONDNoiseShape(picture).process_cond(2, area=(2, 3, 1, 5))
    assert cut.cond.equal(picture[..., 1:3, 5:8].expand(2, -1, -1, -1))
    assert CONDS.CONDConstant(3).concat([CONDS.CONDConstant(3)]) == 3
    pair = CONDS.CONDList([one, one]).concat([CONDS.CONDList([many, one])])
    assert [len(each) for each in pair] == [4, 2]


def test_a_text_that_a_pack_gives_in_model_conds_is_read_and_nothing_else():
    tokens, other = torch.zeros(1, 77, 4), torch.ones(1, 77, 4)
    given = {"c_crossattn": CONDS.CONDCrossAttn(other)}

    (cond,) = conditioning_from([(tokens, {"model_conds": given})]).conds
    assert cond.tokens.equal(other)
    with pytest.raises(NotOfferedError, match="'c_concat' in a condition's model_conds"):
        conditioning_from([(tokens, {"model_conds": {"c_concat": CONDS.CONDRegular(other)}})])


def test_a_previewer_shows_what_our_previews_show(model):
    module = host_module("latent_preview")
    previewer = module.get_previewer("cpu", model.model.latent_format)
    x0 = torch.randn(2, 4, 8, 8)

    form, image, longest = previewer.decode_latent_to_preview_image("JPEG", x0)

    assert (form, image.size, longest) == ("JPEG", (8, 8), 512)
    ours = by_matrix(model.handle)(x0[:1]) * 255
    shown = torch.from_numpy(np.array(image)).float()
    assert (shown - ours).abs().max() <= 1
    flat = module.Latent2RGBPreviewer([[0.0] * 3] * 4, [1.0, 0.0, -1.0])
    assert flat.decode_latent_to_preview(x0).getpixel((3, 3)) == (255, 127, 0)


def test_schedules_as_functions_are_those_by_name(model):
    samplers, sampling = host_module("comfy.samplers"), model.model.model_sampling
    own = sampling.parameterization
    ends = float(sampling.sigma_min), float(sampling.sigma_max)

    assert samplers.kl_optimal_scheduler(7, *ends).allclose(schedule(own, "kl_optimal", 7))
    line = samplers.linear_quadratic_schedule(sampling, 8)
    assert line.equal(schedule(own, "linear_quadratic", 8))
    steep = samplers.linear_quadratic_schedule(sampling, 8, threshold_noise=0.1, linear_steps=2)
    torch.testing.assert_close(steep[2] / steep[0], torch.tensor(0.9))
    assert ".webp" in host_module("comfy.k_diffusion.utils").FolderOfImages.IMG_EXTENSIONS
