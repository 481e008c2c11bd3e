"""Safety checkers, against diffusers' own with the same weights."""

import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import (
    StableDiffusionSafetyChecker,
    cosine_distance,
)
from PIL import Image as Pictures
from transformers import CLIPConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.image.safety import safety_checker
from nodes.imaging.codec import to_bytes
from nodes.models.adapters.safety import open_checker
from nodes.models.families.base.errors import MissingWeightsError, UnrecognisedFileError
from nodes.preflight.models import safety_checker as preflight
from tests.nodes.bench import Bench
from tests.nodes.pictures import untouched
from tests.tiny_models.checkpoints import write

SIZE = 32


@pytest.fixture(scope="module")
def oracle():
    """Diffusers' own, with random weights, and concepts that random pictures may show."""
    torch.manual_seed(3)
    sizes = {
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "image_size": SIZE,
        "patch_size": 8,
    }
    config = CLIPConfig(vision_config=sizes, projection_dim=16)
    checker = StableDiffusionSafetyChecker(config).eval()
    with torch.no_grad():
        for parameter in checker.vision_model.parameters():
            parameter.normal_(0, 0.3)
        checker.visual_projection.weight.normal_()
        checker.concept_embeds.normal_()
        checker.special_care_embeds.normal_()
    return checker


@pytest.fixture(scope="module")
def pictures():
    shades = torch.rand(12, 3, 3, 3, generator=torch.Generator().manual_seed(5))
    large = torch.nn.functional.interpolate(shades.movedim(-1, 1), (48, 40), mode="bicubic")
    return large.clamp(0, 1).movedim(1, -1)


@pytest.fixture(scope="module")
def seen(oracle, pictures):
    """What diffusers' preprocessing makes of the pictures."""
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}
    )
    images = [Pictures.fromarray(to_bytes(image)) for image in pictures]
    return processor(images, return_tensors="pt").pixel_values


def tuned(oracle, seen, *, strict=0.0):
    """Thresholds so that about half of the pictures are flagged, some by special care alone."""
    with torch.no_grad():
        embeds = oracle.visual_projection(oracle.vision_model(seen)[1])
        likeness = cosine_distance(embeds, oracle.concept_embeds)
        special = cosine_distance(embeds, oracle.special_care_embeds)
        top = (likeness - likeness.amax(0)).amax(1).median()
        oracle.concept_embeds_weights.copy_(likeness.amax(0) + top + strict)
        oracle.special_care_embeds_weights.copy_(special.median(0).values)
    return {key: tensor.clone() for key, tensor in oracle.state_dict().items()}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def put(bench, tensors, name="checker.safetensors"):
    return write(bench.root / "models" / "safety_checker" / name, tensors)


@pytest.mark.parametrize("strict", [0.0, 0.003, 0.005])
def test_the_same_pictures_are_flagged_as_by_diffusers(bench, oracle, pictures, seen, strict):
    put(bench, tuned(oracle, seen, strict=strict))
    shown = pictures.movedim(-1, 1).clone()
    _, expected = oracle(clip_input=seen, images=shown)

    with untouched(pictures):
        checked = safety_checker(pictures, "checker.safetensors", "black", bench)

    assert 0 < sum(expected) < len(pictures)
    assert checked.flagged == expected
    assert checked.hidden == sum(expected)
    assert bench.checks == len(pictures)


def test_special_care_makes_concepts_count_sooner(bench, oracle, pictures, seen):
    tensors = tuned(oracle, seen, strict=0.005)
    careless = tensors | {"special_care_embeds_weights": torch.full((3,), 2.0)}

    careful = open_checker(put(bench, tensors), "a", ModelPool()).flags(pictures)
    other = open_checker(put(bench, careless, "other.safetensors"), "b", ModelPool()).flags(
        pictures
    )

    assert sum(careful) > sum(other)


@pytest.mark.parametrize("hide", ["black", "blurred"])
def test_flagged_pictures_are_hidden_and_others_left_alone(bench, oracle, pictures, seen, hide):
    put(bench, tuned(oracle, seen))

    checked = safety_checker(pictures, "checker.safetensors", hide, bench)

    for before, after, flag in zip(pictures, checked.image, checked.flagged, strict=True):
        if not flag:
            assert torch.equal(before, after)
        elif hide == "black":
            assert after.count_nonzero() == 0
        else:
            assert 0 < after.std() < before.std()
            steps = (after[1:] - after[:-1]).abs().max()
            assert steps < 0.1, "nothing is sharp any more"


def test_transparency_stays(bench, oracle, pictures, seen):
    put(bench, tuned(oracle, seen))
    clear = torch.cat([pictures, torch.full_like(pictures[..., :1], 0.5)], -1)

    checked = safety_checker(clear, "checker.safetensors", "black", bench)

    assert checked.hidden > 0
    assert (checked.image[..., 3] == 0.5).all()


def test_a_cancelled_run_stops_at_the_next_picture(tmp_path, oracle, pictures, seen):
    stopped = Bench(tmp_path, cancel_at=2)
    put(stopped, tuned(oracle, seen))

    with pytest.raises(InterruptedError):
        safety_checker(pictures, "checker.safetensors", "black", stopped)


def test_other_files_are_refused(bench, oracle, seen):
    tensors = tuned(oracle, seen)
    encoder = {key: value for key, value in tensors.items() if key.startswith("vision_model.")}
    concepts = {key: value for key, value in tensors.items() if key not in encoder}
    cases = {
        "encoder": (encoder, UnrecognisedFileError, "holds no safety checker"),
        "concepts": (concepts, UnrecognisedFileError, "holds no vision encoder"),
        "half": (
            {key: value for key, value in tensors.items() if key != "special_care_embeds"},
            MissingWeightsError,
            "no special_care_embeds",
        ),
        "vectorless": (
            {key: value for key, value in tensors.items() if "visual_projection" not in key},
            MissingWeightsError,
            r"no visual_projection\.weight",
        ),
    }

    for name, (held, kind, says) in cases.items():
        put(bench, held, f"{name}.safetensors")
        with pytest.raises(kind, match=says):
            preflight({"checker_name": f"{name}.safetensors"}, bench.files)
