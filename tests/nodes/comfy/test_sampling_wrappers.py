"""Functions of packs around sampling, and inside of a network in each of its ways."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nodegraph.execution.engine import Engine
from nodegraph.workflow.read import read_prompt

PACK = """
import torch
import comfy.samplers
from comfy.model_patcher import create_model_options_clone
from comfy.patcher_extension import CallbacksMP, WrappersMP, add_wrapper
from comfy.samplers import CFGGuider, KSAMPLER

TOLD = []


def halve(out, extra):
    return out * 0.5


def outer(executor, noise, latent_image, sampler, sigmas, *args, **more):
    guider = executor.class_obj
    TOLD.append((type(guider).__name__, guider.cfg, len(sigmas), guider.model_patcher.is_clip))
    return executor(noise, latent_image, sampler, sigmas, *args, **more) * 2


def prepares(executor, model, noise_shape, conds, *args, **more):
    TOLD.append((tuple(noise_shape), sorted(conds)))
    return executor(model, noise_shape, conds, *args, **more)


def turns_on(executor, *args, **more):
    guider = executor.class_obj
    guider.model_options = create_model_options_clone(guider.model_options)
    inside = guider.model_options["transformer_options"]
    inside["patches"] = {"attn2_output_patch": [halve]}
    add_wrapper(WrappersMP.PREDICT_NOISE, predicts, inside)
    return executor(*args, **more)


def predicts(executor, x, timestep, model_options, seed):
    assert seed == 5 and len(model_options["transformer_options"]["sample_sigmas"]) == 3
    return executor(x, timestep, model_options, seed) * 0.9


def batches(executor, model, conds, x, timestep, model_options):
    assert len(conds) == 2 and model.model_sampling.sigma_max > timestep[0]
    return [out * 0.9 for out in executor(model, conds, x, timestep, model_options)]


def cuts(executor, guider, sigmas, *args, **more):
    return executor(guider, torch.cat([sigmas[:1], sigmas[-1:]]), *args, **more)


def again(args):
    inside = {"transformer_options": {"patches": {"attn2_output_patch": [halve]}}}
    asked = [args["cond"], args["uncond"]]
    quiet, other = comfy.samplers.calc_cond_batch(
        args["model"], asked, args["input"], args["sigma"], inside
    )
    return other + args["cond_scale"] * (quiet - other)


WAYS = {
    "again": lambda m: m.set_model_sampler_post_cfg_function(again, True),
    "none": lambda m: None,
    "outer": lambda m: m.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "toys", outer),
    "prepares": lambda m: m.add_wrapper(WrappersMP.PREPARE_SAMPLING, prepares),
    "turns on": lambda m: m.add_wrapper(WrappersMP.OUTER_SAMPLE, turns_on),
    "is on": lambda m: (m.set_model_attn2_output_patch(halve), WAYS["post"](m)),
    "post": lambda m: m.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * 0.9),
    "predicts": lambda m: m.add_wrapper(WrappersMP.PREDICT_NOISE, predicts),
    "pre": lambda m: m.set_model_sampler_pre_cfg_function(
        lambda args: [out * 0.9 for out in args["conds_out"]]
    ),
    "batches": lambda m: m.add_wrapper(WrappersMP.CALC_COND_BATCH, batches),
    "cuts": lambda m: m.add_wrapper(WrappersMP.SAMPLER_SAMPLE, cuts),
    "patched": lambda m: m.set_model_attn2_output_patch(halve),
    "called": lambda m: (
        m.add_callback(CallbacksMP.ON_PRE_RUN, lambda patcher: TOLD.append("before")),
        m.add_callback(CallbacksMP.ON_CLEANUP, lambda patcher: TOLD.append("after")),
    ),
}


class Wraps:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "way": (list(WAYS),)}}

    def run(self, model, way):
        TOLD.clear()
        changed = model.clone()
        WAYS[way](changed)
        return (changed,)


class Told:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"after": ("LATENT",)}}

    def run(self, after):
        return (repr(TOLD),)


class Own(CFGGuider):
    def predict_noise(self, x, timestep, model_options={}, seed=None):
        return super().predict_noise(x, timestep, model_options, seed)


class Guides:
    RETURN_TYPES = ("GUIDER",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        cond = ("CONDITIONING",)
        return {"required": {"model": ("MODEL",), "positive": cond, "negative": cond,
                             "cfg": ("FLOAT",)}}

    def run(self, model, positive, negative, cfg):
        guider = Own(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(cfg)
        return (guider,)


def sample_toy(model, x, sigmas, extra_args=None, callback=None, disable=None):
    s_in = x.new_ones([x.shape[0]])
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i] * s_in, **extra_args)
        callback({"x": x, "i": i, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": denoised})
        x = denoised + (x - denoised) * sigmas[i + 1] / sigmas[i]
    return x


class Chooses:
    RETURN_TYPES = ("SAMPLER",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        return (KSAMPLER(sample_toy),)


kinds = (Wraps, Told, Guides, Chooses)
NODE_CLASS_MAPPINGS = {"Toy" + kind.__name__: kind for kind in kinds}
"""


def entry(name: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": name, "inputs": inputs}


@pytest.fixture(scope="module")
def engine(pack_engine):
    return pack_engine(PACK)


CONDS = {"positive": ["red", 0], "negative": ["none", 0], "cfg": 4.0}
GRAPH: dict[str, Any] = {
    "checkpoint": entry("CheckpointLoaderSimple", ckpt_name="demo-shapes.safetensors"),
    "red": entry("CLIPTextEncode", text="a red circle", clip=["checkpoint", 1]),
    "none": entry("CLIPTextEncode", text="", clip=["checkpoint", 1]),
    "empty": entry("EmptyLatentImage", width=64, height=64, batch_size=1),
    "seed": entry("RandomNoise", noise_seed=5),
    "levels": entry("KarrasScheduler", steps=2, sigma_max=9.0, sigma_min=0.2, rho=7.0),
    "euler": entry("KSamplerSelect", sampler_name="euler"),
    "toy": entry("ToyChooses"),
    "own": entry("ToyGuides", model=["model", 0], **CONDS),
    "plain": entry("CFGGuider", model=["model", 0], **CONDS),
    "told": entry("ToyTold", after=["sampled", 0]),
}


def sample(engine: Engine, way: str, guider: str = "plain", sampler: str = "euler", **levels: Any):
    """The latent of a model that is changed in a way, and what the pack was told meanwhile."""
    graph = {**GRAPH, "model": entry("ToyWraps", model=["checkpoint", 0], way=way)}
    graph["levels"]["inputs"] |= {"steps": 2, **levels}
    graph["sampled"] = entry(
        "SamplerCustomAdvanced", noise=["seed", 0], guider=[guider, 0], sampler=[sampler, 0],
        sigmas=["levels", 0], latent_image=["empty", 0],
    )  # fmt: skip
    outputs: Any = engine.run(read_prompt(graph), targets=["sampled", "told"]).outputs
    return outputs["sampled"][0].samples, outputs["told"][0]


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-4)


def test_a_wrapper_around_all_of_sampling_has_the_guider_and_the_result(engine):
    plain, told = sample(engine, "none")
    doubled, told_too = sample(engine, "outer")

    assert close(doubled, plain * 2)
    assert (told, told_too) == ("[]", "[('CFGGuider', 4.0, 3, False)]")
    assert "('Own', 4.0, 3, False)]" in sample(engine, "outer", "own")[1]


def test_wrappers_around_predictions_change_them_as_guidance_functions_do(engine):
    plain, _ = sample(engine, "none")
    for wrapper, function in (("predicts", "post"), ("batches", "pre"), ("turns on", "is on")):
        changed, _ = sample(engine, wrapper)
        assert close(changed, sample(engine, function)[0]), wrapper
        assert not close(changed, plain), wrapper


def test_a_wrapper_around_the_sampler_may_give_it_other_levels(engine):
    assert close(sample(engine, "cuts")[0], sample(engine, "none", steps=1)[0])


def test_callbacks_are_called_before_and_after_sampling(engine):
    plain, _ = sample(engine, "none")

    called, told = sample(engine, "called")
    assert close(called, plain)
    assert told == "['before', 'after']"
    prepared, told = sample(engine, "prepares")
    assert close(prepared, plain)
    assert told == "[((1, 4, 8, 8), ['negative', 'positive'])]"


def test_a_network_is_changed_whoever_samples(engine):
    plain, _ = sample(engine, "none")
    patched, _ = sample(engine, "patched")

    assert not close(patched, plain)
    assert close(sample(engine, "again")[0], patched)
    for guider, sampler in (("own", "euler"), ("plain", "toy"), ("own", "toy")):
        assert close(sample(engine, "patched", guider, sampler)[0], patched), (guider, sampler)
