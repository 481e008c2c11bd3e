"""Samplers, schedules, guiders and noise of packs, which compute with this engine's models."""

from typing import Any

import pytest
import torch

from nodegraph.errors import InvalidWorkflowError, NodeGraphError
from nodegraph.execution.engine import Engine
from nodegraph.packs.object_info import object_info
from nodegraph.packs.registry import Registry
from nodes.comfy.values.errors import NotOfferedError
from nodes.sampling.samplers.registry import SAMPLERS
from tests.nodes.comfy import packs
from tests.nodes.comfy.graphs import custom, entry, guider, ksampler, run

PACK = """
import importlib
import torch
import comfy.sample
import comfy.sampler_helpers
import comfy.samplers
from comfy.k_diffusion import sampling
from comfy.model_patcher import set_model_options_post_cfg_function
from comfy.samplers import CFGGuider, KSAMPLER, KSampler, k_diffusion_sampling


@torch.no_grad()
def sample_toy(model, x, sigmas, extra_args=None, callback=None, disable=None):
    extra_args = {} if extra_args is None else extra_args
    s_in = x.new_ones([x.shape[0]])
    inner = model.inner_model.inner_model
    inner.diffusion_model.kept = 1
    assert model.inner_model.model_patcher.model is inner
    assert hasattr(inner.diffusion_model, "kept") and not hasattr(inner.diffusion_model, "blocks")
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i] * s_in, **extra_args)
        callback({"x": x, "i": i, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": denoised})
        x = x + sampling.to_d(x, sigmas[i] * s_in, denoised) * (sigmas[i + 1] - sigmas[i])
    return x


@torch.no_grad()
def sample_toy_pp(model, x, sigmas, extra_args=None, callback=None, disable=None):
    kept = {}

    def keep(args):
        kept["uncond"] = args["uncond_denoised"]
        return args["denoised"]

    extra_args = dict(extra_args)
    extra_args["model_options"] = set_model_options_post_cfg_function(
        extra_args["model_options"], keep, disable_cfg1_optimization=True
    )
    s_in = x.new_ones([x.shape[0]])
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i] * s_in, **extra_args)
        x = denoised + sampling.to_d(x, sigmas[i] * s_in, kept["uncond"]) * sigmas[i + 1]
    return x


for name, function in (("toy", sample_toy), ("toy_pp", sample_toy_pp)):
    KSampler.SAMPLERS.append(name)
    setattr(k_diffusion_sampling, "sample_" + name, function)
KSampler.SAMPLERS.append("toy_hollow")
KSampler.SCHEDULERS.append("toy_line")
comfy.samplers.SCHEDULER_HANDLERS["toy_line"] = comfy.samplers.SchedulerHandler(
    lambda ms, steps: torch.linspace(float(ms.sigma_max), 0, steps + 1)
)
importlib.reload(k_diffusion_sampling)


def node(function, outputs, **inputs):
    types = {name: (kind,) if isinstance(kind, str) else kind for name, kind in inputs.items()}
    declared = classmethod(lambda cls: {"required": types})
    values = {"INPUT_TYPES": declared, "RETURN_TYPES": outputs, "FUNCTION": "run"}
    return type(function.__name__, (), {**values, "run": staticmethod(function)})


class Halves(CFGGuider):
    def set_conds(self, positive, other, negative):
        self.inner_set_conds({"positive": positive, "other": other, "negative": negative})

    def predict_noise(self, x, timestep, model_options={}, seed=None):
        conds = [self.conds[name] for name in ("negative", "other", "positive")]
        negative, other, positive = comfy.samplers.calc_cond_batch(
            self.inner_model, conds, x, timestep, model_options
        )
        return comfy.samplers.cfg_function(
            self.inner_model, (positive + other) / 2, negative, self.cfg, x, timestep,
            model_options=model_options, cond=conds[2], uncond=conds[0],
        )


class Patched(CFGGuider):
    def predict_noise(self, x, timestep, model_options={}, seed=None):
        inside = {"patches_replace": {"dit": {("double_block", 0): print}}}
        options = {"transformer_options": inside}
        return super().predict_noise(x, timestep, options, seed)


class Same(CFGGuider):
    calls = 0

    def predict_noise(self, x, timestep, model_options={}, seed=None):
        assert len(model_options["transformer_options"]["sample_sigmas"]) == 4
        Same.calls += 1
        return super().predict_noise(x, timestep, model_options, seed)


def Guides(model, positive, other, negative, cfg):
    guider = Halves(model)
    guider.set_conds(positive, other, negative)
    guider.set_cfg(cfg)
    return (guider,)


def SameGuides(model, positive, negative, cfg):
    guider = Patched(model) if cfg == 2.0 else Same(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    return (guider,)


def Chooses(name):
    def call(model, x, sigmas, **more):
        return getattr(k_diffusion_sampling, "sample_" + name)(model, x, sigmas, **more)

    return (KSAMPLER(call),)


class ToyNoise:
    seed = 5

    def generate_noise(self, latent):
        return comfy.sample.prepare_noise(latent["samples"], self.seed)


def Draws():
    return (ToyNoise(),)


def Reads(sampler, guider, noise, latent):
    drawn = noise.generate_noise(latent)
    seen = []
    samples = guider.sample(
        drawn, latent["samples"], sampler, torch.tensor([9.0, 3.0, 1.0, 0.0]),
        denoise_mask=latent.get("noise_mask"),
        callback=lambda step, x0, x, total: seen.append((step, total, tuple(x0.shape))),
        seed=noise.seed,
    )
    told = f"{sampler.sampler_function.__name__} {sampler.extra_options} {seen}"
    return {"samples": samples}, told


def Inverts(model, positive, latent):
    sampler = KSampler(model, steps=4, device="cpu", sampler="euler", scheduler="normal")
    conds = comfy.sampler_helpers.convert_cond(positive)
    models, memory = comfy.sampler_helpers.get_additional_models({"positive": conds}, None)
    assert not models and memory == 0
    up = sampler.sigmas.flip(0) + 0.0001
    start = latent["samples"]
    noise = torch.zeros_like(start)
    there = sampler.sample(noise, positive, positive, 1.0, start, sigmas=up)
    back = sampler.sample(noise, positive, positive, 1.0, there, sigmas=up.flip(0))
    return {"samples": there}, {"samples": back}


kinds = (
    node(Guides, ("GUIDER",), model="MODEL", positive="CONDITIONING", other="CONDITIONING",
         negative="CONDITIONING", cfg="FLOAT"),
    node(SameGuides, ("GUIDER",), model="MODEL", positive="CONDITIONING", negative="CONDITIONING",
         cfg="FLOAT"),
    node(Chooses, ("SAMPLER",), name=(KSampler.SAMPLERS,)),
    node(Draws, ("NOISE",)),
    node(Reads, ("LATENT", "STRING"), sampler="SAMPLER", guider="GUIDER", noise="NOISE",
         latent="LATENT"),
    node(Inverts, ("LATENT", "LATENT"), model="MODEL", positive="CONDITIONING", latent="LATENT"),
)
NODE_CLASS_MAPPINGS = {"Toy" + kind.__name__: kind for kind in kinds}
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("host")
    packs.write(root / "custom_nodes", "toys", PACK)
    return packs.settings_in(root)


@pytest.fixture(scope="module")
def registry(settings):
    return Registry.from_settings(settings)


@pytest.fixture(scope="module")
def engine(settings, registry):
    return Engine(registry, settings.files(registry.model_places))


def test_names_that_a_pack_adds_are_offered_by_every_node_that_offers_such(registry, settings):
    info: Any = object_info(registry.spec("KSampler"), settings.files())
    inputs = info["input"]["required"]

    assert inputs["sampler_name"][0][-3:] == ["toy", "toy_pp", "toy_hollow"]
    assert inputs["scheduler"][0][-1] == "toy_line"
    for name, kind in (("KSamplerSelect", "sampler_name"), ("ToyChooses", "name")):
        assert "toy" in (registry.spec(name).input(kind).choices or ())
    assert registry.spec("BasicScheduler").input("scheduler").choices[-1] == "toy_line"


def test_a_packs_sampler_gives_what_ours_gives_by_the_same_method(engine):
    (ours,), (toy,), (pp,), (toy_pp,) = run(
        engine, "1", "2", "3", "4",
        **{"1": ksampler("euler"), "2": ksampler("toy"),
           "3": ksampler("euler_cfg_pp", cfg=1.0), "4": ksampler("toy_pp", cfg=1.0)},
    )  # fmt: skip

    assert ours.samples.any()
    assert toy.samples.allclose(ours.samples, atol=1e-5)
    assert toy_pp.samples.allclose(pp.samples, atol=1e-4)
    assert not pp.samples.allclose(ours.samples, atol=1e-2)


def test_a_packs_sampler_keeps_what_is_outside_of_the_mask(engine):
    nodes = {"1": ksampler("euler", latent="masked"), "2": ksampler("toy", latent="masked")}
    (ours,), (toy,), (before,) = run(engine, "1", "2", "sampled", **nodes)

    assert toy.samples.allclose(ours.samples, atol=1e-5)
    assert toy.samples[..., 5:].allclose(before.samples[..., 5:], atol=1e-4)
    assert not toy.samples[..., :4].allclose(before.samples[..., :4], atol=1e-2)


def test_a_packs_schedule_is_used_in_parts_too(engine):
    levels = entry("BasicScheduler", model=["model", 0], scheduler="toy_line", steps=4, denoise=0.5)
    (sigmas,), (latent,) = run(
        engine, "1", "2", **{"1": levels, "2": ksampler("euler", "toy_line")}
    )

    assert len(sigmas) == 5
    assert sigmas.diff().std() < 1e-4 * sigmas[0]
    assert latent.samples.isfinite().all()


def test_a_name_without_a_function_is_told(engine):
    with pytest.raises(NodeGraphError, match=r"sampler without its function, 'toy_hollow'"):
        run(engine, "1", **{"1": ksampler("toy_hollow")})
    with pytest.raises(InvalidWorkflowError, match="toy_nobody"):
        run(engine, "1", **{"1": ksampler("toy_nobody")})


def called_and_chosen(engine, names):
    """The latents of samplers that a pack calls as functions, and of the same ones by name."""
    nodes = {"guider": guider()}
    for name in names:
        nodes[f"a {name}"] = entry("KSamplerSelect", sampler_name=name)
        nodes[f"b {name}"] = entry("ToyChooses", name=name)
        nodes |= {f"{each} of {name}": custom(f"{each} {name}") for each in "ab"}
    targets = [f"{each} of {name}" for name in names for each in "ab"]
    found = [output.samples for output, _ in run(engine, *targets, **nodes)]
    return zip(names, found[::2], found[1::2], strict=True)


def test_our_samplers_as_functions_give_the_same_latents(engine):
    names = ("euler_ancestral", "heun", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_sde", "lcm")
    for name, ours, called in called_and_chosen(engine, names):
        assert called.allclose(ours, atol=1e-4), name


@pytest.mark.slow
def test_all_our_samplers_as_functions_give_the_same_latents(engine):
    for name, ours, called in called_and_chosen(
        engine, [each for each in SAMPLERS if each != "ddim"]
    ):
        assert called.allclose(ours, atol=1e-3), name


def test_a_packs_guider_predicts_with_conditions_of_its_own(engine):
    nodes = {
        "euler": entry("KSamplerSelect", sampler_name="euler"),
        "guider": guider(),
        "same": guider("ToySameGuides"),
        "twice": guider("ToyGuides", other=["red", 0]),
        "halves": guider("ToyGuides", other=["blue", 0]),
        **{f"of {name}": custom("euler", name) for name in ("guider", "same", "twice", "halves")},
    }
    (ours, *_), (same, *_), (twice, *_), (halves, *_) = run(
        engine, "of guider", "of same", "of twice", "of halves", **nodes
    )

    assert same.samples.equal(ours.samples)
    nodes["same"] = {**nodes["same"], "inputs": {**nodes["same"]["inputs"], "cfg": 2.0}}
    with pytest.raises(NotOfferedError, match="the patch 'dit' of a network"):
        run(engine, "of same", **nodes)
    assert twice.samples.allclose(ours.samples, atol=1e-4)
    assert not halves.samples.allclose(ours.samples, atol=1e-2)


def test_guiders_samplers_and_noise_cross_both_ways(engine):
    nodes = {
        "options": entry("SamplerEulerAncestral", eta=0.5, s_noise=1.0),
        "guider": guider(),
        "toy noise": entry("ToyDraws"),
        "toy sampler": entry("ToyChooses", name="toy"),
        "1": custom("options"),
        "2": custom("options", noise="toy noise"),
        "read": entry("ToyReads", sampler=["options", 0], guider=["guider", 0], noise=["seed", 0],
                      latent=["empty", 0]),
        "masked too": entry("ToyReads", sampler=["toy sampler", 0], guider=["guider", 0],
                            noise=["seed", 0], latent=["masked", 0]),
    }  # fmt: skip
    (ours, *_), (theirs, *_), (read, told), (masked, _), (before,) = run(
        engine, "1", "2", "read", "masked too", "sampled", **nodes
    )

    assert theirs.samples.equal(ours.samples)
    assert told.startswith(
        "sample_euler_ancestral {'eta': 0.5, 's_noise': 1.0} [(0, 3, (1, 4, 8, 8))"
    )
    assert told.count("(1, 4, 8, 8)") == 3
    assert read.samples.any()
    assert masked.samples[..., 5:].allclose(before.samples[..., 5:], atol=1e-4)


def test_a_pack_goes_from_a_latent_to_noise_and_back(engine):
    nodes = {
        "1": entry("ToyInverts", model=["model", 0], positive=["red", 0], latent=["sampled", 0])
    }
    ((there, back), (before,)) = run(engine, "1", "sampled", **nodes)

    assert there.samples.std() > 3 * before.samples.std()
    assert torch.nn.functional.mse_loss(back.samples, before.samples) < before.samples.var() / 2
