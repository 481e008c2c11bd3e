"""FLUX.2 dev: its guidance, and its text encoder with Mistral's tokenizer, against diffusers."""

import json
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_flux2_transformer_checkpoint_to_diffusers as convert,
)
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.pipelines.flux2.pipeline_flux2 import Flux2Pipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from transformers.models.mistral3.configuration_mistral3 import Mistral3Config
from transformers.models.mistral3.modeling_mistral3 import Mistral3ForConditionalGeneration

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.flux import flux_guidance
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.model.checkpoints import diffusers_loader, unet_loader, vae_loader
from nodes.builtin.model.text_encoders import clip_loader
from nodes.models.families.base.errors import MissingTokenizerError
from nodes.models.families.base.spec import HiddenStatePolicy, TextEncoderSet
from nodes.models.families.base.text_encoders import read_encoder
from nodes.models.families.denoisers.flux2 import FLUX2
from nodes.models.families.diffusers_layout import read_model
from nodes.models.loading.checkpoint import open_network
from nodes.models.loading.handles import ClipHandle
from nodes.models.loading.text_model import TextEncoder, TextModel
from nodes.models.text.tekken_tokenizer import tekken_tokenizer
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import (
    SIZE,
    assert_close,
    in_float32,
    sampled,
    start_of,
    text_of,
)
from tests.tiny_models.checkpoints import write
from tests.tiny_models.compare import assert_same, decoded
from tests.tiny_models.flux2_vae import small_flux2_vae, their_flux2_vae
from tests.tiny_models.language_models import HEADS_OF_16, small_mistral
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.tekken import SIZE as WORDS
from tests.tiny_models.tekken import tekken_json, their_tekken
from tests.tiny_models.transformer_networks import flux2
from tests.tiny_models.whole_models import small_flux2_dev

MODEL, TEXT = "flux2_dev_fp8mixed.safetensors", "mistral_3_small_flux2_bf16.safetensors"
WIDTH = 96


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    write(bench.root / f"models/diffusion_models/{MODEL}", small_dev())
    write(bench.root / f"models/text_encoders/{TEXT}", small_mistral(), HEADS_OF_16)
    return bench


def small_dev():
    draw = Draw(43)
    flux2(draw, text=WIDTH, guidance=True)
    return draw.tensors


def their_pipeline(weights, text=WIDTH, encoder=None):
    """Diffusers' pipeline on a transformer's weights for texts of a width."""
    config: dict[str, Any] = {
        "num_layers": 2,
        "num_single_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 4,
        "joint_attention_dim": text,
        "axes_dims_rope": (4, 4, 4, 4),
    }
    transformer = Flux2Transformer2DModel(**config)
    transformer.load_state_dict(convert(in_float32(weights)))
    pipeline = Flux2Pipeline(
        FlowMatchEulerDiscreteScheduler(),
        their_flux2_vae(),
        cast("Any", encoder),
        cast("Any", their_tekken()),
        transformer.eval(),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def their_mistral(weights):
    """Transformers' Mistral Small 3, as a diffusers folder has it: beside a vision encoder."""
    sizes: dict[str, Any] = {
        "vocab_size": WORDS,
        "hidden_size": 5120,
        "intermediate_size": 16,
        "num_hidden_layers": sum(key.endswith("q_proj.weight") for key in weights),
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e9},
        "sliding_window": None,
    }
    eyes: dict[str, Any] = {
        "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
    }  # fmt: skip
    config: Any = Mistral3Config
    whole = Mistral3ForConditionalGeneration(
        config(text_config={"model_type": "mistral", **sizes}, vision_config=eyes)
    )
    own = {key.removeprefix("model."): tensor for key, tensor in weights.items()}
    del own["tekken_model"]
    whole.model.language_model.load_state_dict(in_float32(own))
    return whole.eval()


def their_latents(model, text, guidance):
    pipeline = their_pipeline(small_dev())
    noise, sigmas = start_of(model)
    found = cast("Any", pipeline)(
        prompt_embeds=text.conds[0].tokens,
        height=SIZE[0] * 16,
        width=SIZE[1] * 16,
        sigmas=sigmas,
        guidance_scale=guidance,
        latents=noise,
        output_type="latent",
    ).images
    return found.mT.reshape(1, 128, *SIZE)


def test_latents_with_a_guidance_are_those_of_the_pipeline(bench):
    model, text = unet_loader(MODEL, "default", bench), text_of(WIDTH)
    strong, usual = flux_guidance(text, 9.0), flux_guidance(text, 3.5)

    found, other, unset = (sampled(bench, model, t, t, 1.0) for t in (strong, usual, text))

    assert torch.equal(other, unset)
    assert (found - other).std() / other.std() > 0.01
    assert_close(found, their_latents(model, text, 9.0))


def test_texts_are_read_as_in_the_pipeline(bench):
    policy = FLUX2.encoder_sets[0].policies["mistral3_24b"]
    clip = encoder_of(bench.root / "models/text_encoders" / TEXT, policy)
    network = clip.text.encoders[0].network.module()
    prompts = ["the cat (that:1.3) sat\n on  the mat, 27 Übung", ""]

    mine = [clip_text_encode(prompt, clip, bench).conds[0].tokens for prompt in prompts]

    theirs = Flux2Pipeline._get_mistral_3_small_prompt_embeds(
        cast("Any", network),
        cast("Any", their_tekken()),
        prompts,
        dtype=torch.float32,
        device=torch.device("cpu"),
        hidden_states_layers=[1, 2, 3],
    )
    for row, tokens in zip(theirs, mine, strict=True):
        assert tokens.shape == (1, 512, 3 * 5120)
        assert_close(tokens, row[None])


def test_a_prompt_beyond_512_tokens_is_read_whole_with_a_notice(bench):
    policy = FLUX2.encoder_sets[0].policies["mistral3_24b"]
    clip = encoder_of(bench.root / "models/text_encoders" / TEXT, policy)
    bench.notices.clear()

    usual, long = (clip_text_encode("9 " * n, clip, bench).conds[0].tokens for n in (10, 300))

    assert usual.shape[1] == 512
    assert long.shape[1] > 600
    (told,) = bench.notices
    assert told.startswith(f"The prompt has {long.shape[1]} tokens")


def encoder_of(path, policy: HiddenStatePolicy):
    """The encoder as the family has it, but for the layers: the tiny one has four."""
    wanted = replace(policy, layers=(1, 2, 3))
    header = read_model(path)
    spec = read_encoder(header, "", "mistral3_24b", wanted)
    network = open_network(ModelPool(), header, "", spec.network)
    one = TextEncoderSet("flux2", {"mistral3_24b": wanted}, "single", "flux2", (1,))
    return ClipHandle(TextModel(path, (TextEncoder(network, spec.rules),), one))


def test_the_file_tells_the_text_encoder_and_the_last_norm_may_be_cut_off(bench):
    tensors = {key: each for key, each in small_mistral(30).items() if key != "model.norm.weight"}
    write(bench.root / "models/text_encoders/cut.safetensors", tensors, HEADS_OF_16)

    clips = [
        clip_loader("cut.safetensors", kind, ctx=bench) for kind in ("flux2", "stable_diffusion")
    ]

    for clip in clips:
        assert [encoder.name for encoder in clip.text.encoders] == ["mistral3_24b"]
    text = clip_text_encode("a cat", clips[0], bench)
    assert text.conds[0].tokens.shape == (1, 512, 15360)
    assert text.conds[0].tokens.isfinite().all()


def test_without_its_tokenizer_it_is_refused(bench):
    tensors = small_mistral()
    del tensors["tekken_model"]
    write(bench.root / "models/text_encoders/alone/bare.safetensors", tensors, HEADS_OF_16)

    with pytest.raises(MissingTokenizerError) as told:
        clip_loader("alone/bare.safetensors", "flux2", ctx=bench)
    assert all(each in told.value.hint for each in ("'tekken_model'", "tekken.json"))
    (bench.root / "models/text_encoders/alone/tekken.json").write_bytes(tekken_json())
    clip_loader("alone/bare.safetensors", "flux2", ctx=bench)


@pytest.mark.parametrize("damaged", ["", "[]", "{}", '{"config": {}, "vocab": []}'])
def test_a_damaged_tokenizer_is_told(damaged):
    with pytest.raises(ValueError, match=r"neither a tekken.json nor a tokenizer.json"):
        tekken_tokenizer(damaged)


def test_both_files_of_the_tokenizer_give_the_same_ids():
    theirs = their_tekken()
    mine = tekken_tokenizer(tekken_json().decode("latin-1"))
    other = tekken_tokenizer(theirs.backend_tokenizer.to_str().encode().decode("latin-1"))
    text = "[INST]the cat that  sat\n9 Übung 猫[/INST]<s>"

    assert mine.encode(text) == theirs.encode(text, add_special_tokens=False)
    assert other.encode(text) == mine.encode(text)


def test_special_tokens_are_those_that_the_file_lists():
    content = json.loads(tekken_json())
    content["special_tokens"] = [
        {"rank": 1, "token_str": "<b>"},
        {"rank": 0, "token_str": "<a>"},
    ]

    tokenizer = tekken_tokenizer(json.dumps(content))

    assert tokenizer.encode("<b><a>") == [1, 0]


@pytest.mark.slow
def test_a_diffusers_folder_gives_what_single_files_do(bench):
    text = small_mistral(30)
    models = bench.root / "models"
    write(models / "diffusion_models/whole.safetensors", small_flux2_dev())
    write(models / "text_encoders/whole.safetensors", text, HEADS_OF_16)
    write(models / "vae/whole.safetensors", small_flux2_vae())
    whole = their_pipeline(small_flux2_dev(), 3 * 5120, their_mistral(text))
    whole.save_pretrained(models / "diffusers/dev")

    found, clip, vae = diffusers_loader("dev", bench)

    assert [encoder.name for encoder in clip.text.encoders] == ["mistral3_24b"]
    single = clip_loader("whole.safetensors", "flux2", ctx=bench)
    prompts = [clip_text_encode("the cat sat", each, bench) for each in (clip, single)]
    assert_same(prompts[0].conds[0].tokens, prompts[1].conds[0].tokens)
    model = unet_loader("whole.safetensors", "default", bench)
    latents = [sampled(bench, each, prompts[0], prompts[1], 1.0) for each in (found, model)]
    assert_same(latents[0], latents[1])
    assert_same(decoded(vae), decoded(vae_loader("whole.safetensors", bench)))
