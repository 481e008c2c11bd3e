"""Graphs that sample with the demo checkpoint, for tests of packs' samplers and guiders."""

from typing import Any

from nodegraph.workflow.read import read_prompt


def entry(name, /, **inputs) -> dict[str, Any]:
    return {"class_type": name, "inputs": inputs}


GRAPH = {
    "model": entry("CheckpointLoaderSimple", ckpt_name="demo-shapes.safetensors"),
    "red": entry("CLIPTextEncode", text="a red circle", clip=["model", 1]),
    "blue": entry("CLIPTextEncode", text="a blue square", clip=["model", 1]),
    "none": entry("CLIPTextEncode", text="", clip=["model", 1]),
    "empty": entry("EmptyLatentImage", width=64, height=64, batch_size=1),
    "mask": entry("SolidMask", value=1.0, width=32, height=64),
    "wide": entry("MaskComposite", destination=["none mask", 0], source=["mask", 0], x=0, y=0,
                  operation="add"),
    "none mask": entry("SolidMask", value=0.0, width=64, height=64),
    "masked": entry("SetLatentNoiseMask", samples=["sampled", 0], mask=["wide", 0]),
    "seed": entry("RandomNoise", noise_seed=5),
    "levels": entry("KarrasScheduler", steps=3, sigma_max=9.0, sigma_min=0.2, rho=7.0),
}  # fmt: skip


def ksampler(sampler, scheduler="karras", latent="empty", **inputs):
    given = {"seed": 5, "steps": 3, "cfg": 4.0, "denoise": 1.0, **inputs}
    return entry(
        "KSampler", model=["model", 0], positive=["red", 0], negative=["none", 0],
        latent_image=[latent, 0], sampler_name=sampler, scheduler=scheduler, **given
    )  # fmt: skip


def custom(sampler, guider="guider", noise="seed", latent="empty"):
    return entry(
        "SamplerCustomAdvanced", noise=[noise, 0], guider=[guider, 0], sampler=[sampler, 0],
        sigmas=["levels", 0], latent_image=[latent, 0],
    )  # fmt: skip


def guider(name="CFGGuider", **more):
    return entry(
        name, model=["model", 0], positive=["red", 0], negative=["none", 0], cfg=4.0, **more
    )


def run(engine, *targets, **nodes):
    """The first output of each of these nodes."""
    graph = read_prompt({**GRAPH, "sampled": ksampler("euler"), **nodes})
    outputs = engine.run(graph, targets=list(targets)).outputs
    return [outputs[name] for name in targets]
