"""Samplers and guiders of packs that are classes of their own, with methods that replace ours."""

import pytest

from nodegraph.errors import NodeGraphError
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import Progress
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_prompt
from tests.nodes.comfy import packs
from tests.nodes.comfy.graphs import GRAPH, custom, entry, guider, run

PACK = """
import torch
import comfy.samplers
from comfy.k_diffusion.sampling import to_d
from comfy.samplers import KSAMPLER, CFGGuider, KSamplerX0Inpaint, Sampler, sampler_object
from comfy_extras.nodes_custom_sampler import (
    Guider_Basic, Guider_DualCFG, Noise_EmptyNoise, Noise_RandomNoise,
)


class Steps(Sampler):
    "Euler, written against a guider."

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None,
               denoise_mask=None, disable_pbar=False):
        sampling = model_wrap.inner_model.model_sampling
        model = KSamplerX0Inpaint(model_wrap, sigmas)
        model.latent_image, model.noise = latent_image, noise
        x = sampling.noise_scaling(
            sigmas[0], noise, latent_image, self.max_denoise(model_wrap, sigmas)
        )
        ones = x.new_ones([x.shape[0]])
        for i in range(len(sigmas) - 1):
            x0 = model(x, sigmas[i] * ones, denoise_mask=denoise_mask, **extra_args)
            callback(i, x0, x, len(sigmas) - 1)
            x = x + to_d(x, sigmas[i] * ones, x0) * (sigmas[i + 1] - sigmas[i])
        return sampling.inverse_noise_scaling(sigmas[-1], x)


class Direct(Steps):
    "Asks the guider itself, so that it knows no mask."

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None,
               denoise_mask=None, disable_pbar=False):
        x = model_wrap.inner_model.model_sampling.noise_scaling(
            sigmas[0], noise, latent_image, self.max_denoise(model_wrap, sigmas)
        )
        ones = x.new_ones([x.shape[0]])
        for i in range(len(sigmas) - 1):
            x0 = model_wrap(x, sigmas[i] * ones, **extra_args)
            callback(i, x0, x, len(sigmas) - 1)
            x = x + to_d(x, sigmas[i] * ones, x0) * (sigmas[i + 1] - sigmas[i])
        return x


class Calmer(KSAMPLER):
    "Begins at half of the noise."

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, *more, **options):
        return super().sample(model_wrap, sigmas, extra_args, callback, noise / 2, *more, **options)


class Wraps(KSAMPLER):
    "Asks for each prediction through an object of its own."

    def sample(self, model_wrap, *more, **options):
        class Wrapped:
            def __init__(self, guider):
                self.guider, self.inner_model = guider, guider.inner_model
            def __call__(self, x, sigma, model_options={}, seed=None):
                return self.guider(x, sigma, model_options=model_options, seed=seed) * 0.5
        return super().sample(Wrapped(model_wrap), *more, **options)


class Hollow(Sampler):
    pass


class Told(CFGGuider):
    "Notes the methods that are called, and changes what they get."

    def __init__(self, model, way):
        super().__init__(model)
        self.way, self.log = way, []

    def sample(self, noise, latent_image, sampler, sigmas, *more, **options):
        self.log.append("sample")
        if self.way == "twice":
            first = super().sample(noise, latent_image, sampler, sigmas, *more, **options)
            assert self.inner_model is None
            return super().sample(torch.zeros_like(noise), first, sampler, sigmas[2:], *more,
                                  **options)
        found = super().sample(noise, latent_image, sampler, sigmas, *more, **options)
        assert self.log[:3] == ["sample", "outer", "inner"] and "predict" in self.log, self.log
        return found

    def outer_sample(self, noise, latent_image, sampler, sigmas, *more, **options):
        self.log.append("outer")
        return super().outer_sample(noise, latent_image, sampler, sigmas, *more, **options)

    def inner_sample(self, noise, latent_image, device, sampler, sigmas, denoise_mask, callback,
                     disable_pbar, seed):
        self.log.append("inner")
        assert self.inner_model.process_latent_in(latent_image).shape == noise.shape
        assert set(self.conds) == {"positive", "negative"}
        if self.way == "fewer":
            sigmas = sigmas[1:]
        return super().inner_sample(noise, latent_image, device, sampler, sigmas, denoise_mask,
                                    callback, disable_pbar, seed)

    def predict_noise(self, x, timestep, model_options={}, seed=None):
        self.log.append("predict")
        return super().predict_noise(x, timestep, model_options, seed)


def node(function, outputs, **inputs):
    types = {name: (kind,) for name, kind in inputs.items()}
    declared = classmethod(lambda cls: {"required": types})
    values = {"INPUT_TYPES": declared, "RETURN_TYPES": outputs, "FUNCTION": "run"}
    return type(function.__name__, (), {**values, "run": staticmethod(function)})


def Chooses(kind):
    euler = sampler_object("euler").sampler_function
    kinds = {"Steps": Steps, "Direct": Direct, "Hollow": Hollow,
             "Calmer": lambda: Calmer(euler), "Wraps": lambda: Wraps(euler)}
    return (kinds[kind](),)


def Guides(model, positive, negative, cfg, way):
    guider = Told(model, way)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    return (guider,)


def Extras(model, positive, middle, negative, cfg, nested):
    if nested == "basic":
        guider = Guider_Basic(model)
        guider.set_conds(positive)
    else:
        guider = Guider_DualCFG(model)
        guider.set_conds(positive, middle, negative)
        guider.set_cfg(cfg, cfg, nested=nested == "nested")
    return (guider,)


def Draws(seed):
    return (Noise_RandomNoise(seed) if seed else Noise_EmptyNoise(),)


def Samples(guider, sampler, noise, latent):
    drawn = noise.generate_noise(latent)
    samples = guider.sample(drawn, latent["samples"], sampler, torch.tensor([9.0, 3.0, 1.0, 0.0]),
                            denoise_mask=latent.get("noise_mask"), seed=5)
    return {"samples": samples}, ",".join(getattr(guider, "log", []))


kinds = (
    node(Chooses, ("SAMPLER",), kind="STRING"),
    node(Guides, ("GUIDER",), model="MODEL", positive="CONDITIONING", negative="CONDITIONING",
         cfg="FLOAT", way="STRING"),
    node(Extras, ("GUIDER",), model="MODEL", positive="CONDITIONING", middle="CONDITIONING",
         negative="CONDITIONING", cfg="FLOAT", nested="STRING"),
    node(Draws, ("NOISE",), seed="INT"),
    node(Samples, ("LATENT", "STRING"), guider="GUIDER", sampler="SAMPLER", noise="NOISE",
         latent="LATENT"),
)
NODE_CLASS_MAPPINGS = {"Own" + kind.__name__: kind for kind in kinds}
"""
EULER = {"euler": entry("KSamplerSelect", sampler_name="euler"), "guider": guider()}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    settings = packs.settings_in(tmp_path_factory.mktemp("own"))
    with packs.imported(settings, PACK) as types:
        built_in = Registry.load(names=("nodes",))
        registry = Registry.from_types(*types.values(), also=built_in)
        yield Engine(registry, settings.files(built_in.model_places))


def chosen(*kinds):
    return {kind: entry("OwnChooses", kind=kind) for kind in kinds}


def test_a_sampler_class_of_a_pack_samples_in_our_node(engine):
    nodes = {**EULER, **chosen("Steps", "Direct", "Calmer", "Wraps")}
    names = ("euler", "Steps", "Direct", "Calmer", "Wraps")
    nodes |= {f"of {name}": custom(name) for name in names}
    ours, steps, direct, calmer, wraps = run(engine, *(f"of {name}" for name in names), **nodes)

    assert steps[0].samples.allclose(ours[0].samples, atol=1e-5)
    assert steps[1].samples.allclose(ours[1].samples, atol=1e-5)
    assert direct[0].samples.allclose(ours[0].samples, atol=1e-5)
    assert not calmer[0].samples.allclose(ours[0].samples, atol=1e-2)
    assert not wraps[0].samples.allclose(ours[0].samples, atol=1e-2)


def test_it_keeps_what_is_outside_of_the_mask_where_it_asks_for_that(engine):
    nodes = {**EULER, **chosen("Steps", "Direct")}
    names = ("euler", "Steps", "Direct")
    nodes |= {f"of {name}": custom(name, latent="masked") for name in names}
    (ours, _), (steps, _), (direct, _) = run(engine, *(f"of {name}" for name in names), **nodes)

    assert steps.samples.allclose(ours.samples, atol=1e-5)
    assert not direct.samples.allclose(ours.samples, atol=1e-2)


def test_its_steps_are_the_progress_of_the_node(engine):
    heard = []
    seed = {"another": entry("RandomNoise", noise_seed=6)}
    nodes = {**GRAPH, **EULER, **seed, **chosen("Direct"), "1": custom("Direct", noise="another")}
    graph = read_prompt(nodes)
    engine.run(graph, targets=["1"], emit=heard.append)

    told = [(e.value, e.total) for e in heard if isinstance(e, Progress) and e.node_id == "1"]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_sampler_without_a_method_of_its_own_is_refused(engine):
    with pytest.raises(NodeGraphError, match=r"Hollow\.sample"):
        run(engine, "1", **EULER, **chosen("Hollow"), **{"1": custom("Hollow")})


def guided(way):
    return guider("OwnGuides", way=way)


def test_a_guiders_own_methods_are_called_by_our_node(engine):
    nodes = {**EULER, **chosen("Direct"), "plain": guided("plain"), "twice": guided("twice"),
             "fewer": guided("fewer"), "by name": custom("euler"),
             "of Direct": custom("Direct", "plain"),
             **{f"of {way}": custom("euler", way) for way in ("plain", "twice", "fewer")},
             }  # fmt: skip
    targets = ("by name", "of plain", "of Direct", "of twice", "of fewer")
    ours, plain, direct, twice, fewer = run(engine, *targets, **nodes)

    assert plain[0].samples.allclose(ours[0].samples, atol=1e-5)
    assert plain[1].samples.allclose(ours[1].samples, atol=1e-5)
    assert direct[0].samples.allclose(ours[0].samples, atol=1e-5)
    assert not twice[0].samples.allclose(ours[0].samples, atol=1e-3)
    assert not fewer[0].samples.allclose(ours[0].samples, atol=1e-3)


def test_a_guiders_own_methods_mind_the_mask(engine):
    nodes = {**EULER, "plain": guided("plain"), "a": custom("euler", latent="masked"),
             "b": custom("euler", "plain", latent="masked")}  # fmt: skip
    (ours, _), (plain, _) = run(engine, "a", "b", **nodes)

    assert plain.samples.allclose(ours.samples, atol=1e-5)
    assert plain.noise_mask is not None


def test_a_guider_goes_from_pack_to_pack_with_its_methods(engine):
    def sampled(way):
        return entry("OwnSamples", guider=[way, 0], sampler=["euler", 0], noise=["seed", 0],
                     latent=["masked", 0])  # fmt: skip

    nodes = {**EULER, "plain": guided("plain"), "a": sampled("guider"), "b": sampled("plain")}
    (ours, none), (plain, log) = run(engine, "a", "b", **nodes)

    assert plain.samples.allclose(ours.samples, atol=1e-5)
    assert none == ""
    assert log.split(",")[:4] == ["sample", "outer", "inner", "predict"]


def test_comfyui_s_guiders_and_noise_are_there_to_be_made(engine):
    def extra(nested):
        return guider("OwnExtras", middle=["blue", 0], nested=nested)

    def dual(style):
        return entry("DualCFGGuider", model=["model", 0], cond1=["red", 0], cond2=["blue", 0],
                     negative=["none", 0], cfg_conds=4.0, cfg_cond2_negative=4.0,
                     style=style)  # fmt: skip

    basic = entry("BasicGuider", model=["model", 0], conditioning=["red", 0])
    guiders = {"a": basic, "b": dual("regular"), "c": dual("nested"), "d": extra("basic"),
               "e": extra("regular"), "f": extra("nested"), "g": basic}  # fmt: skip
    nodes = {**EULER, **guiders, "own seed": entry("OwnDraws", seed=5),
             "silence": entry("OwnDraws", seed=0), "none at all": entry("DisableNoise"),
             }  # fmt: skip
    nodes |= {f"of {name}": custom("euler", name, "own seed" if name in "defg" else "seed")
              for name in guiders}  # fmt: skip
    nodes |= {"h": custom("euler", "a", "silence"), "i": custom("euler", "a", "none at all")}
    found = run(engine, *(f"of {name}" for name in "abcdefg"), "h", "i", **nodes)
    a, b, c, d, e, f, g, h, i = (output.samples for output, _ in found)

    assert d.equal(a)
    assert g.equal(a)
    assert e.allclose(b, atol=1e-4)
    assert f.allclose(c, atol=1e-4)
    assert not f.allclose(e, atol=1e-2)
    assert h.equal(i)
    assert not h.allclose(a, atol=1e-2)
