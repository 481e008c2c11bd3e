"""Language models write what transformers' own models do, and stop when they are told to."""

import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers.cache_utils import DynamicCache
from transformers.generation.configuration_utils import GenerationConfig
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3ForCausalLM

from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_prompt
from nodes.builtin.model.text_encoders import clip_loader
from nodes.builtin.text.errors import UnreadMediumError
from nodes.builtin.text.generation import Likely, Sampled, text_generate
from nodes.inference import text_generation
from nodes.inference.text_generation import Writer
from nodes.models.families.base.language_models import language_model_of
from nodes.models.loading.errors import BlindEncoderError, MuteEncoderError
from nodes.models.networks.base.errors import UnplacedPictureError
from nodes.models.networks.base.pictures import PixelPatches
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from nodes.models.text.chat import chat, place_pictures_before, split_thoughts
from nodes.models.text.chunks import Token
from nodes.models.text.qwen_tokenizer import qwen3_tokenizer
from nodes.models.text.word_choice import Chances, Drawn, Likeliest
from nodes.values import Audio
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import in_float32
from tests.tiny_models.checkpoints import LETTERS, lora, small_clip, write
from tests.tiny_models.compare import NO_WORDS
from tests.tiny_models.language_models import (
    BYTES,
    SEEING,
    qwen2_5_vision,
    qwen3,
    small_qwen3,
)
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.whole_models import tiny_qwen_image

TIED, HEADED, SEES = "tied.safetensors", "headed.safetensors", "sees.safetensors"
MOST = 12
SETTINGS = {
    "temperature": 1.0,
    "top_k": 64,
    "top_p": 0.95,
    "min_p": 0.05,
    "repetition_penalty": 1.05,
    "seed": 7,
}
"""The values of the choice `on`, as workflows have them."""
ENDS = [256, 258]
"""The tokens that end a text, in the vocabulary of bytes."""
ROPE = {"rope_type": "default", "rope_theta": 1e6}


def headed():
    """A Qwen3 4B of three layers with a head of its own: its words do not repeat the last one."""
    tensors = small_qwen3()
    draw = Draw(31)
    draw.put("lm_head.weight", (288, 2560), 0.05)
    return tensors | draw.tensors


def seeing():
    """A Qwen2.5-VL 7B of one layer with a head and a vision encoder."""
    draw = Draw(33)
    qwen3(draw, width=3584, head=128, heads=(28, 1), layers=1, words=288, biased=True)
    qwen2_5_vision(draw, width=3584)
    draw.put("lm_head.weight", (288, 3584), 0.05)
    return draw.tensors


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    folder = bench.root / "models/text_encoders"
    write(folder / TIED, small_qwen3(), BYTES)
    write(folder / HEADED, headed(), BYTES)
    write(folder / SEES, seeing(), SEEING)
    write(folder / "clip.safetensors", small_clip(), LETTERS)
    return bench


@pytest.fixture
def ctx(bench):
    """The same folders, with nothing told yet."""
    return replace(bench, notices=[], progressed=[], texts=[], checks=0)


def opened(bench, name, kind="lumina2"):
    return clip_loader(name, kind, ctx=bench)


def writer_of(clip):
    (encoder,) = clip.text.encoders
    record = language_model_of(encoder.name)
    assert record
    return Writer(encoder, record)


def theirs(tensors, *, tied):
    """Transformers' whole model with the same weights."""
    config = Qwen3Config(
        vocab_size=288,
        hidden_size=2560,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        rope_parameters=ROPE,
        tie_word_embeddings=tied,
    )
    model = Qwen3ForCausalLM(config)
    model.load_state_dict(in_float32(tensors), strict=not tied)
    return model.eval()


def generated(model, ids, **settings):
    """The tokens that transformers adds."""
    config = GenerationConfig(max_new_tokens=MOST, eos_token_id=ENDS, pad_token_id=256, **settings)
    rows = torch.tensor([ids])
    found = model.generate(rows, attention_mask=torch.ones_like(rows), generation_config=config)
    return [number for number in found[0, len(ids) :].tolist() if number not in ENDS]


@pytest.mark.parametrize(("name", "tensors"), [(TIED, small_qwen3), (HEADED, headed)])
def test_the_likeliest_words_are_those_of_transformers(bench, name, tensors):
    writer = writer_of(opened(bench, name))
    ids = writer.tokenizer.encode(chat(writer.record, "a fox"))

    found = list(writer.tokens([Token(n) for n in ids], Likeliest(), MOST))

    expected = generated(theirs(tensors(), tied=name == TIED), ids, do_sample=False)
    assert found == expected
    assert (len(found) == MOST) is (name == TIED)  # the other ends its text by itself


def test_words_are_drawn_as_transformers_draws_them(bench):
    writer = writer_of(opened(bench, HEADED))
    ids = writer.tokenizer.encode("a fox")
    chances = Chances(1.7, top_k=40, top_p=0.9, min_p=0.02, repetition_penalty=1.0)
    model = theirs(headed(), tied=False)

    for seed in (0, 5):
        found = list(writer.tokens([Token(n) for n in ids], Drawn(chances, seed), MOST))
        torch.manual_seed(seed)
        expected = generated(
            model, ids, do_sample=True, temperature=1.7, top_k=40, top_p=0.9, min_p=0.02
        )
        assert found == expected


def test_words_after_a_picture_are_those_of_transformers(bench):
    writer = writer_of(opened(bench, SEES, "qwen_image"))
    picture = torch.rand(56, 84, 3, generator=torch.Generator().manual_seed(1))
    prompt = "<|vision_start|><|image_pad|><|vision_end|>a fox"
    encoder = writer.encoder
    (row,) = replace(encoder, rules=replace(encoder.rules, template="{}")).chunks(
        prompt,
        NO_WORDS,
        [picture],
    )

    found = list(writer.tokens(row, Likeliest(), MOST))

    assert found == see_and_write(writer, row)
    assert found != list(writer.tokens([t for t in row if not t.picture], Likeliest(), MOST))


def see_and_write(writer, row):
    """What transformers' whole Qwen2.5-VL writes after these tokens."""
    config = writer.encoder.network.spec.config
    assert writer.encoder.vision
    eyes = dict(writer.encoder.vision.spec.config)
    pad = writer.encoder.rules.picture
    made = Qwen2_5_VLConfig(
        text_config={**config, "tie_word_embeddings": False},
        vision_config=eyes,
        image_token_id=pad,
        tie_word_embeddings=False,
    )
    model: Any = Qwen2_5_VLForConditionalGeneration(made).eval()
    model.model.language_model.load_state_dict(writer.encoder.network.module().state_dict())
    model.model.visual.load_state_dict(writer.encoder.vision.module().state_dict())
    parts = writer.encoder.head.module().state_dict().values()
    model.lm_head.load_state_dict({"weight": torch.cat(tuple(parts))})
    (seen,) = {token.picture for token in row if token.picture}
    assert isinstance(seen, PixelPatches)
    grid = torch.tensor([[1, seen.rows * seen.merge, seen.columns * seen.merge]])
    rows = torch.tensor([[token.id for token in row]])
    settings = GenerationConfig(
        max_new_tokens=MOST, eos_token_id=ENDS, pad_token_id=256, do_sample=False
    )
    found = model.generate(
        rows,
        attention_mask=torch.ones_like(rows),
        pixel_values=seen.pixels,
        image_grid_thw=grid,
        mm_token_type_ids=(rows == pad).long(),
        generation_config=settings,
    )
    return found[0, len(row) :].tolist()


def test_a_seed_gives_the_same_text_again_and_another_seed_another(bench, ctx):
    clip = opened(bench, HEADED)

    first, again, other = (
        text_generate(clip, "a fox", 20, Sampled(temperature=2.0, seed=seed), ctx=ctx)
        for seed in (1, 1, 2)
    )

    assert first == again
    assert first.generated_text != other.generated_text


def test_a_lora_changes_what_is_written(bench, ctx):
    clip = opened(bench, HEADED)
    name = "lora_te_layers_2_mlp_down_proj"
    path = write(bench.root / "lora.safetensors", lora(3, {name: (2560, 64)}))
    network = clip.text.encoders[0].network
    changed = clip.with_patch("qwen3_4b", lora_patch(LoraFile(path, "l"), 40.0, network))

    plain, other = (text_generate(each, "a fox", 20, Likely(), ctx=ctx) for each in (clip, changed))

    assert plain.generated_text != other.generated_text


def test_a_growing_text_is_shown_and_progress_is_told(bench, ctx, monkeypatch):
    monkeypatch.setattr(text_generation, "_PAUSE", 0.0)
    clip = opened(bench, HEADED)

    found = text_generate(clip, "a fox", MOST, Likely(), ctx=ctx)

    number = len(ctx.progressed)
    assert ctx.progressed == [(n, MOST) for n in range(1, number + 1)]
    assert len(ctx.texts) == number + 1 > 5
    assert ctx.texts[-1].strip() == found.generated_text
    for shorter, longer in zip(ctx.texts, ctx.texts[1:-1], strict=False):
        assert longer.startswith(shorter)


@pytest.mark.parametrize("within", [False, True])
def test_it_stops_in_the_middle_and_keeps_nothing(bench, ctx, monkeypatch, within):
    """Between two tokens, or while it waits for the device for one."""
    uses: list[object] = []

    def plan(use):
        uses.append(use)
        if len(uses) == 4:
            raise InterruptedError

    kept: list[weakref.ref[Any]] = []

    class Watched(DynamicCache):
        def update(self, *given, **more):
            found = super().update(*given, **more)
            kept.extend(weakref.ref(each) for each in found)
            return found

    monkeypatch.setattr("transformers.cache_utils.DynamicCache", Watched)
    stopped = replace(ctx, cancel_at=None if within else 4, progressed=[], texts=[])
    if within:
        monkeypatch.setattr(text_generation, "plan_use", plan)

    with pytest.raises(InterruptedError) as told:
        text_generate(opened(bench, HEADED), "a fox", 500, Likely(), ctx=stopped)

    assert len(stopped.progressed) == 3
    assert len(kept) == 3 * 3 * 2  # of each pass, layer, and of keys and values
    gc.collect()
    assert told.value  # whose traceback holds the frames
    assert not any(each() is not None for each in kept)


def test_memory_is_asked_for_as_the_text_grows(bench, ctx, monkeypatch):
    uses = []
    monkeypatch.setattr(text_generation, "plan_use", uses.append)

    text_generate(opened(bench, HEADED), "a" * 300, MOST, Likely(), ctx=ctx)

    first, *rest = [use.activations for use in uses]
    per_token = 2 * (3 + 2) * 16 * 4
    assert rest[0] == 512 * per_token + (2560 * 32 + 288) * 4
    assert len(set(rest)) == 1
    assert first > rest[0]
    assert [model.spec.name for model in uses[0].models] == ["qwen3_4b", "qwen3_4b.head"]


def test_thoughts_are_an_output_of_their_own():
    qwen3, qwen2 = (language_model_of(name) for name in ("qwen3_4b", "qwen2_5_vl_7b"))
    assert qwen3
    assert qwen2

    silent, loud = (chat(qwen3, "hi", thinks=thinks) for thinks in (False, True))

    assert loud == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert silent == f"{loud}<think>\n\n</think>\n\n"
    assert chat(qwen3, "hi", "be {}", thinks=True).startswith(
        "<|im_start|>system\nbe {}<|im_end|>\n<|im_start|>user\nhi<|im_end|>"
    )
    assert chat(qwen2, "hi", thinks=True).startswith(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    )
    assert split_thoughts(loud, "<think>\nwell\n</think>\n\nyes\n") == ("yes", "well")
    assert split_thoughts("<think>\n", "well</think>yes") == ("yes", "well")
    assert split_thoughts(loud, "<think>so much") == ("", "so much")
    assert split_thoughts(silent, "yes </think>") == ("yes </think>", "")


def test_tokens_are_written_down_as_their_bytes():
    tokenizer = qwen3_tokenizer()
    text = "a 🦊 näht\n<think>宁静</think>"

    written = b"".join(map(tokenizer.bytes_of, tokenizer.encode(f"{text}<|im_end|>")))

    assert written.decode() == text
    assert tokenizer.bytes_of(151_900) == b""


def test_written_words_become_less_likely():
    scores = torch.tensor([[2.0, 1.9, -50.0]])
    sure: dict[str, Any] = {"temperature": 0.01, "top_k": 0, "top_p": 1.0, "min_p": 0.0}

    plain, repeated, present = (
        Drawn(Chances(**sure, repetition_penalty=factor, presence_penalty=taken), 0)
        for factor, taken in ((0.0, 0.0), (2.0, 0.0), (1.0, 0.5))
    )

    assert [each.choose(scores, [0, 0]) for each in (plain, repeated, present)] == [0, 1, 1]
    assert [each.choose(scores, []) for each in (repeated, present)] == [0, 0]


def test_what_can_not_be_read_is_told(bench, ctx):
    clip, blind = opened(bench, HEADED), torch.rand(1, 56, 56, 3)
    sound = Audio(torch.zeros(1, 1, 8), 8)

    with pytest.raises(MuteEncoderError, match=r"clip_l of 'clip\.safetensors' can not write"):
        text_generate(opened(bench, "clip.safetensors", "stable_diffusion"), "a", 5, ctx=ctx)
    with pytest.raises(BlindEncoderError, match="qwen3_4b"):
        text_generate(clip, "a", 5, Likely(), blind, ctx=ctx)
    with pytest.raises(UnreadMediumError, match="no video"):
        text_generate(clip, "a", 5, Likely(), None, blind, ctx=ctx)
    with pytest.raises(UnreadMediumError, match="no audio"):
        text_generate(clip, "a", 5, Likely(), audio=sound, ctx=ctx)


def test_pictures_are_placed_before_the_prompt_in_the_chat_alone(bench, ctx):
    pictures = torch.rand(2, 56, 84, 3)
    clip = opened(bench, SEES, "qwen_image")
    place = place_pictures_before("", 1)

    placed = [
        text_generate(clip, text, 6, Likely(), pictures, use_default_template=chats, ctx=ctx)
        for text, chats in (("a fox", True), (f"{place}a{place}fox", False))
    ]

    assert placed[0] != placed[1]
    with pytest.raises(UnplacedPictureError, match="2 pictures for a prompt with 1 place"):
        text_generate(
            clip, f"{place}a fox", 6, Likely(), pictures, use_default_template=False, ctx=ctx
        )


@pytest.mark.parametrize("enhances", [True, False])
def test_a_switch_decides_if_a_prompt_is_rewritten(tmp_path, enhances):
    engine = Engine(Registry.load(["nodes"]), Bench(tmp_path).files)
    tiny_qwen_image(tmp_path / "models")
    clip = "qwen_2.5_vl_7b_fp8_scaled.safetensors"
    write(tmp_path / "models/text_encoders" / clip, seeing(), SEEING)
    graph = {
        "1": {"class_type": "CLIPLoader", "inputs": {"clip_name": clip, "type": "qwen_image"}},
        "2": {
            "class_type": "TextGenerate",
            "inputs": {
                "clip": ["1", 0],
                "prompt": "a fox",
                "max_length": 3,
                "sampling_mode": "on",
                **{f"sampling_mode.{name}": value for name, value in SETTINGS.items()},
            },
        },
        "3": {
            "class_type": "ComfySwitchNode",
            "inputs": {"switch": enhances, "on_false": "a fox", "on_true": ["2", 0]},
        },
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", 0]}},
    }
    events = []

    engine.run(read_prompt(graph), emit=events.append)

    ran = {event.node_id for event in events if event.name == "node_started"}
    assert ("2" in ran) is enhances
    assert any(event.name == "progress_text" for event in events) is enhances
