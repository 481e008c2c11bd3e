"""GLIGEN: texts for boxes, against diffusers' own gated U-Net."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from nodes.builtin.conditioning.gligen import gligen_loader, gligen_text_box_apply
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.loading.forward import denoise, prepare
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.networks.base.errors import WrongConditioningError
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.text.textual_inversion import Embeddings
from nodes.preflight.models import gligen as preflight
from nodes.sampling.conditioning.regions import resolve
from nodes.sampling.guidance.loop import Request, noise_for, sample
from nodes.sampling.guidance.planner import GuidancePlanner
from nodes.sampling.samplers.registry import Call
from nodes.values import Cond, Conditioning, Latent
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import small_sd3, small_sd15, small_sd21, write
from tests.tiny_models.control_networks import gligen
from tests.tiny_models.handles import in_run, opened
from tests.tiny_models.random_weights import Draw

PLACES = {
    "input_blocks.1.1": 32, "middle_block.1": 64, "output_blocks.2.1": 32, "output_blocks.3.1": 32,
}  # fmt: skip
OWN = {
    "input_blocks.1.1": "down_blocks.0.attentions.0", "middle_block.1": "mid_block.attentions.0",
    "output_blocks.2.1": "up_blocks.1.attentions.0",
    "output_blocks.3.1": "up_blocks.1.attentions.1",
}  # fmt: skip
X = torch.linspace(-2, 2, 4 * 48).reshape(1, 4, 6, 8)
SIGMA = torch.tensor([2.0])


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return opened(write(tmp_path_factory.mktemp("models") / "a.safetensors", small_sd15()))


@pytest.fixture
def model(checkpoint):
    return ModelHandle(checkpoint.model)


@pytest.fixture
def clip(checkpoint):
    return ClipHandle(checkpoint.text)


def tensors(seed=19, text=64, **places):
    draw = Draw(seed)
    gligen(draw, text=text, places={**PLACES, **places})
    return draw.tensors


def load(bench, found, name="g.safetensors"):
    write(bench.root / "models/gligen" / name, found)
    return gligen_loader(name, bench)


def prompt():
    tokens = torch.linspace(-1, 1, 7 * 64).reshape(1, 7, 64)
    return Conditioning((Cond(tokens, torch.zeros(1, 64)),))


def boxed(bench, clip, handle, *boxes):
    """A prompt with texts for boxes; each box has width, height, x and y in pixels."""
    said = prompt()
    for text, *sizes in boxes:
        said = gligen_text_box_apply(said, clip, handle, text, bench, *sizes)
    return said


def predict(model, conditioning, x=X, sigma=SIGMA):
    """Predict through guidance, as sampling does it."""
    ready = [prepare(model, cond, (x.shape[-2], x.shape[-1])) for cond in conditioning.conds]
    resolved, _ = resolve(ready, [], (x.shape[-2], x.shape[-1]), model.parameterization)
    guidance, call = GuidancePlanner(resolved, resolved, 1.0), Call(x, sigma, 0)
    calls = guidance.plan(call)
    outputs = [denoise(model, each.x, each.sigma, each.cond) for each in calls]
    return guidance.combine(call, calls, outputs).x0


@torch.no_grad()
def by_diffusers(model, clip, found, boxes):
    """A gated U-Net with the base model's weights and these, asked as diffusers' pipeline does."""
    base: Any = model.model.network.module()
    unet: Any = UNet2DConditionModel(**model.model.network.spec.config, attention_type="gated")
    own = {}
    for key, value in found.items():
        start = next((start for start in OWN if key.startswith(start)), None)
        own[key.replace(start, OWN[start]) if start else key] = value.float()
    unet.load_state_dict({**base.state_dict(), **own})
    unet.eval()
    corners, masks = torch.zeros(1, 30, 4), torch.zeros(1, 30)
    texts = torch.zeros(1, 30, 64)
    for number, (text, wide, high, left, top) in enumerate(boxes):
        corners[0, number] = torch.tensor(
            [left / 64, top / 48, (left + wide) / 64, (top + high) / 48]
        )
        texts[0, number] = clip.encode(text, Embeddings(None, print)).pooled
        masks[0, number] = 1
    facts, (cond,) = model.parameterization, prompt().conds
    said = {"boxes": corners, "positive_embeddings": texts, "masks": masks}
    (output,) = unet(
        facts.scale_input(X, SIGMA), facts.timestep(SIGMA), cond.tokens,
        cross_attention_kwargs={"gligen": said}, return_dict=False,
    )  # fmt: skip
    return facts.to_x0(X, SIGMA, output)


BOXES = (("a cat", 32, 16, 8, 24), ("a red ball", 16, 16, 48, 0))


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_boxes_do_what_diffusers_does(model, clip, bench, number, prefix):
    found = tensors()
    handle = load(bench, {prefix + key: value for key, value in found.items()})
    boxes = BOXES[:number]

    made = predict(model, boxed(bench, clip, handle, *boxes))

    expected = by_diffusers(model, clip, found, boxes)
    plain = predict(model, prompt())
    assert (made - expected).abs().max() <= 1e-5 * expected.std()
    assert (made - plain).abs().max() > 1e-3 * expected.std()


def test_another_place_or_text_makes_another_picture(model, clip, bench):
    handle = load(bench, tensors())

    def made(*box):
        return predict(model, boxed(bench, clip, handle, box))

    one = made("a cat", 32, 16, 8, 24)
    assert not torch.equal(one, made("a cat", 32, 16, 16, 24))
    assert not torch.equal(one, made("a dog", 32, 16, 8, 24))


def test_conditions_without_boxes_are_asked_apart(model, clip, bench):
    """A negative prompt has none, and its network none of the layers."""
    said = boxed(bench, clip, load(bench, tensors()), BOXES[0])
    latent = Latent(torch.zeros(1, 4, 6, 8))

    def run(positive, cfg):
        request = Request(
            denoiser=in_run(model), sampler="euler", sigmas=torch.tensor([5.0, 1.0, 0.0]), seed=1,
            positive=positive, negative=prompt(), cfg=cfg,
        )  # fmt: skip
        return sample(request, latent, noise_for(latent, 1))

    assert not torch.equal(run(said, 3.0), run(prompt(), 3.0))
    both = Conditioning(said.conds + prompt().conds)
    halves = (predict(model, said) + predict(model, prompt())) / 2
    assert torch.allclose(predict(model, both), halves, atol=1e-4)


def test_more_boxes_than_the_networks_were_trained_with(model, clip, bench):
    handle = load(bench, tensors())
    (cond,) = boxed(bench, clip, handle, BOXES[0]).conds
    many = Conditioning((replace(cond, boxes=cond.boxes * 33),))

    assert predict(model, many).isfinite().all()


def test_a_gligen_model_of_another_family_is_an_error(model, clip, bench):
    wide = load(bench, tensors(**{"middle_block.1": 128}))
    lacking = {key: value for key, value in tensors().items() if "middle" not in key}
    less = load(bench, lacking, "h.safetensors")
    path = write(bench.root / "sd3.safetensors", small_sd3())
    other = ModelHandle(opened(path).model)

    for handle in (wide, less):
        with pytest.raises(ModelMismatchError, match=r"GLIGEN model .* does not fit the model"):
            predict(model, boxed(bench, clip, handle, BOXES[0]))
    said = boxed(bench, clip, load(bench, tensors(), "i.safetensors"), BOXES[0])
    with pytest.raises(ModelMismatchError, match=r"GLIGEN model .* does not fit the model"):
        predict(other, said, torch.zeros(1, 16, 6, 8), torch.tensor([0.5]))


def test_a_box_read_by_another_text_encoder_is_an_error(model, clip, bench):
    (cond,) = boxed(bench, clip, load(bench, tensors()), BOXES[0]).conds
    (box,) = cond.boxes
    wrong = replace(cond, boxes=(replace(box, text=torch.zeros(1, 65)),))

    with pytest.raises(WrongConditioningError, match="text of a box is 65 wide"):
        predict(model, Conditioning((wrong,)))


def test_a_file_that_is_no_gligen_model_is_an_error(bench):
    write(bench.root / "models/gligen/a.safetensors", small_sd21())

    with pytest.raises(UnrecognisedFileError, match="holds no GLIGEN model"):
        preflight({"gligen_name": "a.safetensors"}, bench.files)
    with pytest.raises(UnrecognisedFileError, match="holds no GLIGEN model"):
        gligen_loader("a.safetensors", bench)
