"""Prompts of families whose text encoders may each read another text."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.family_prompts import (
    clip_text_encode_controlnet,
    clip_text_encode_flux,
    clip_text_encode_sd3,
    clip_text_encode_sdxl,
    clip_text_encode_sdxl_refiner,
    t5_tokenizer_options,
)
from nodes.builtin.conditioning.flux import flux_disable_guidance, flux_guidance
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.models.loading.errors import UnreadTextError
from nodes.models.loading.forward import denoise, prepare
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.loading.text_files import open_text_files
from nodes.values import Cond, CondBatch, Conditioning, ControlCall
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import (
    LETTERS,
    small_clip,
    small_flux,
    small_refiner,
    small_sdxl,
    small_t5,
    write,
)
from tests.tiny_models.handles import opened

LONG = "a cat and " * 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def sdxl(folder):
    return opened(write(folder / "sdxl.safetensors", small_sdxl()))


@pytest.fixture(scope="module")
def encoders(folder):
    """CLIP-L, CLIP-G and T5, each in a file of its own."""
    files = {"l": small_clip(768), "g": small_clip(1280), "t5": small_t5()}
    return [
        (write(folder / f"{name}.safetensors", tensors, LETTERS), name)
        for name, tensors in files.items()
    ]


@pytest.fixture(scope="module")
def sd3(encoders):
    return ClipHandle(open_text_files(encoders, "sd3", ModelPool()))


@pytest.fixture(scope="module")
def flux(encoders):
    return ClipHandle(open_text_files([encoders[0], encoders[2]], "flux", ModelPool()))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def only(conditioning: Conditioning):
    (cond,) = conditioning.conds
    return cond


def pooled(cond: Cond):
    assert cond.pooled is not None
    return cond.pooled


def test_each_of_sdxls_encoders_reads_its_text(sdxl, bench):
    clip = ClipHandle(sdxl.text)

    found = only(clip_text_encode_sdxl(clip, text_g="a cat", text_l="a dog", ctx=bench))

    cat, dog = (only(clip_text_encode(text, clip, bench)) for text in ("a cat", "a dog"))
    assert torch.equal(found.tokens[..., :64], dog.tokens[..., :64])
    assert torch.equal(found.tokens[..., 64:], cat.tokens[..., 64:])
    assert torch.equal(pooled(found), pooled(cat))


def test_the_shorter_of_sdxls_texts_goes_on_with_an_empty_prompt(sdxl, bench):
    clip = ClipHandle(sdxl.text)

    found = only(clip_text_encode_sdxl(clip, text_g="a cat", text_l=LONG, ctx=bench))

    empty = only(clip_text_encode("", clip, bench))
    assert found.tokens.shape == (1, 154, 128)
    torch.testing.assert_close(found.tokens[:, 77:, 64:], empty.tokens[..., 64:])


def test_sdxl_is_told_the_sizes(sdxl, bench):
    sizes = {"width": 1024, "height": 768, "crop_w": 16, "crop_h": 32}
    target = {"target_width": 512, "target_height": 640}

    cond = only(
        clip_text_encode_sdxl(
            ClipHandle(sdxl.text), **sizes, **target, text_g="", text_l="", ctx=bench
        )
    )

    told = prepare(ModelHandle(sdxl.model), cond, (8, 8)).extras["sizes"]
    assert told[0, :6].tolist() == [768, 1024, 32, 16, 640, 512]


def test_the_refiner_is_told_a_score(folder, bench):
    refiner = opened(write(folder / "refiner.safetensors", small_refiner()))
    clip = ClipHandle(refiner.text)

    cond = only(clip_text_encode_sdxl_refiner(7.5, 1024, 768, text="a cat", clip=clip, ctx=bench))

    told = prepare(ModelHandle(refiner.model), cond, (8, 8)).extras["sizes"]
    assert told[0, [0, 1, 6]].tolist() == [768, 1024, 7.5]
    assert torch.equal(cond.tokens, only(clip_text_encode("a cat", clip, bench)).tokens)


def test_each_of_sd3s_encoders_reads_its_text(sd3, bench):
    texts = ("a dog", "a cat", "the in")

    found = only(clip_text_encode_sd3(sd3, *texts, "empty_prompt", bench))

    one, two, three = (only(clip_text_encode(text, sd3, bench)) for text in texts)
    assert torch.equal(found.tokens[:, :77, :768], one.tokens[:, :77, :768])
    assert torch.equal(found.tokens[:, :77, 768:], two.tokens[:, :77, 768:])
    assert torch.equal(found.tokens[:, 77:], three.tokens[:, 77:])
    assert torch.equal(pooled(found)[:, 768:], pooled(two)[:, 768:])


def test_sd3s_empty_texts_are_read_or_left_out(sd3, bench):
    empty = only(clip_text_encode("", sd3, bench))

    read = only(clip_text_encode_sd3(sd3, "", "", "", "empty_prompt", bench))
    left_out = only(clip_text_encode_sd3(sd3, "", "", "", "none", bench))

    assert torch.equal(read.tokens, empty.tokens)
    assert left_out.tokens.shape == (1, 1, 4096)
    assert pooled(left_out).shape == (1, 2048)
    assert not pooled(left_out).any()


def test_flux_reads_clip_as_a_whole_and_t5_in_detail(flux, bench):
    found = only(
        clip_text_encode_flux(clip=flux, clip_l="a dog", t5xxl="the in", guidance=2.0, ctx=bench)
    )

    assert torch.equal(found.tokens, only(clip_text_encode("the in", flux, bench)).tokens)
    assert torch.equal(pooled(found), pooled(only(clip_text_encode("a dog", flux, bench))))
    assert found.extras == {"guidance": 2.0}


def test_a_text_for_an_encoder_that_the_family_lacks_is_refused(sdxl, flux, bench):
    clip = ClipHandle(sdxl.text)

    with pytest.raises(UnreadTextError, match=r"t5xxl.*only clip_l, clip_g"):
        clip_text_encode_flux(clip=clip, clip_l="", t5xxl="", guidance=1.0, ctx=bench)
    with pytest.raises(UnreadTextError, match=r"clip_g.*only clip_l, t5xxl"):
        clip_text_encode_sd3(flux, "", "", "", "none", bench)


def test_flux_is_told_the_guidance(folder):
    path = write(folder / "flux.safetensors", small_flux())
    model = ModelHandle(opened(path).model)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 16, 4, 4, generator=generator)
    tokens = torch.randn(1, 5, 64, generator=generator)
    given = Conditioning((Cond(tokens, torch.ones(1, 64)),))

    def asked(conditioning):
        cond = prepare(model, only(conditioning), (4, 4))
        return denoise(model, x, torch.ones(1), CondBatch(cond.tokens, cond.pooled, cond.extras))

    usual, none = asked(given), asked(flux_disable_guidance(given))
    assert torch.equal(asked(flux_guidance(given, 3.5)), usual)
    assert not torch.equal(asked(flux_guidance(given, 7.0)), usual)
    assert not torch.equal(none, usual)
    assert torch.equal(asked(flux_guidance(flux_disable_guidance(given), 3.5)), usual)


@dataclass(frozen=True)
class Listening:
    """A control that adds nothing, and remembers what it is given to read."""

    heard: list[Tensor] = field(default_factory=list[Tensor], compare=False)
    applies_to_uncond: bool = False

    def check(self, network: object) -> None:
        pass

    def residuals(self, call: ControlCall) -> dict[str, tuple[Tensor, ...]]:
        self.heard.append(call.cond.tokens)
        return {}


def test_controls_may_read_a_text_of_their_own(sdxl, bench):
    clip, model, control = ClipHandle(sdxl.text), ModelHandle(sdxl.model), Listening()
    plain = clip_text_encode("a cat", clip, bench)
    steered = Conditioning((replace(only(plain), controls=(control,)),))

    cond = only(clip_text_encode_controlnet(clip, steered, "a dog", bench))

    placed = prepare(model, cond, (4, 4))
    batch = CondBatch(placed.tokens, placed.pooled, placed.extras, placed.controls)
    x = torch.zeros(1, 4, 4, 4)
    found = denoise(model, x, torch.ones(1), batch)
    (heard,) = control.heard
    assert torch.equal(heard, only(clip_text_encode("a dog", clip, bench)).tokens)
    assert torch.equal(found, denoise(model, x, torch.ones(1), replace(batch, controls=())))


@pytest.mark.parametrize(
    ("padding", "least", "length"), [(0, 0, 3), (5, 0, 8), (0, 20, 20), (30, 20, 33)]
)
def test_t5s_prompts_are_padded_as_asked(flux, bench, padding, least, length):
    clip = t5_tokenizer_options(flux, padding, least, ctx=bench)

    found = only(clip_text_encode("the in", clip, bench))

    assert found.tokens.shape == (1, length, 4096)
    assert only(clip_text_encode("the in", flux, bench)).tokens.shape == (1, 256, 4096)
    assert clip != flux
    assert not bench.notices


def test_padding_t5_where_there_is_none_is_pointed_out(sdxl, bench):
    clip = ClipHandle(sdxl.text)

    assert t5_tokenizer_options(clip, 3, 3, ctx=bench) == clip
    assert "no T5" in bench.notices[0]


def test_a_prompts_key_holds_the_embeddings_that_any_of_its_texts_names(bench):
    path = bench.root / "models/embeddings/mine.safetensors"
    write(path, {"clip_l": torch.zeros(1, 768)})
    state = clip_text_encode_sdxl.state
    assert state is not None
    named = {"text_g": "a cat", "text_l": "a embedding:mine"}

    before = state(named, bench.files)
    write(path, {"clip_l": torch.ones(1, 768)})

    assert "mine" in before
    assert state(named, bench.files) != before
    assert state({"text_g": "a cat", "text_l": "a dog"}, bench.files) == ""
    assert "mine" in state({"text_g": "a cat"}, bench.files), "the other one comes along a link"
