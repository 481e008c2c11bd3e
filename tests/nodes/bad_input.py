"""What users get wrong, one case each: what is changed in a workflow, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Graph = Mapping[str, tuple[str, Mapping[str, object]]]

TEXT_TO_IMAGE: Graph = {
    "load": ("CheckpointLoaderSimple", {"ckpt_name": "sd15.safetensors"}),
    "text": ("CLIPTextEncode", {"text": "a cat", "clip": ["load", 1]}),
    "empty": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
    "sample": (
        "KSampler",
        {
            "model": ["load", 0],
            "positive": ["text", 0],
            "negative": ["text", 0],
            "latent_image": ["empty", 0],
            "seed": 1,
            "steps": 1,
            "cfg": 2.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        },
    ),
    "decode": ("VAEDecode", {"samples": ["sample", 0], "vae": ["load", 2]}),
    "save": ("SaveImage", {"images": ["decode", 0], "filename_prefix": "made"}),
}


@dataclass(frozen=True)
class Bad:
    """One thing that is wrong, and what is said of it."""

    code: str
    says: tuple[str, ...]
    nodes: Graph = field(default_factory=dict[str, tuple[str, Mapping[str, object]]])
    """What takes the place of nodes of `TEXT_TO_IMAGE`, or comes besides."""
    inputs: Mapping[str, object] = field(default_factory=dict[str, object])
    """What takes the place of single inputs: `sample.cfg`."""
    where: str = "load"
    fails: bool = False
    """Whether it shows only while it runs."""
    gone: bool = False
    """Whether it is told in the list of what is missing."""


def changed(bad: Bad) -> dict[str, Any]:
    """The workflow with what is wrong in it, in API format."""
    graph: dict[str, Any] = {
        key: {"class_type": kind, "inputs": dict(inputs)}
        for key, (kind, inputs) in {**TEXT_TO_IMAGE, **bad.nodes}.items()
    }
    for place, value in bad.inputs.items():
        node, _, name = place.partition(".")
        graph[node]["inputs"][name] = value
    return graph


LOAD_PICTURE = ("LoadImage", {"image": "teal.png"})
STEER = (
    "ControlNetApply",
    {
        "conditioning": ["text", 0],
        "control_net": ["net", 0],
        "image": ["picture", 0],
        "strength": 1.0,
    },
)
BAD: Mapping[str, Bad] = {
    "unknown family": Bad(
        "unknown_family",
        ("'strange.safetensors'", "blocks.0.mixer.weight", "Known families: Stable Diffusion 1"),
        inputs={"load.ckpt_name": "strange.safetensors"},
    ),
    "missing file": Bad(
        "value_not_in_list",
        ("sd51.safetensors", "models/checkpoints", "Did you mean 'sd15.safetensors'?"),
        inputs={"load.ckpt_name": "sd51.safetensors"},
        gone=True,
    ),
    "truncated file": Bad(
        "truncated_file",
        ("'cut.safetensors' is incomplete", "bytes of", "Download it again."),
        inputs={"load.ckpt_name": "cut.safetensors"},
    ),
    "empty file": Bad(
        "truncated_file",
        ("'empty.safetensors' is incomplete", "0 bytes", "Download it again."),
        inputs={"load.ckpt_name": "empty.safetensors"},
    ),
    "a web page": Bad(
        "not_safetensors",
        ("'page.safetensors' is not a safetensors file: it is a web page",),
        inputs={"load.ckpt_name": "page.safetensors"},
    ),
    "a pointer": Bad(
        "not_safetensors",
        ("'pointer.safetensors' is not a safetensors file: it is a Git LFS pointer",),
        inputs={"load.ckpt_name": "pointer.safetensors"},
    ),
    "a pickle": Bad(
        "pickle_refused",
        ("'old.ckpt' is a pickle", "can run code", "--allow-pickle"),
        inputs={"load.ckpt_name": "old.ckpt"},
    ),
    "wrong hash": Bad(
        "wrong_hash",
        (
            "'sd15.safetensors' is not the file it should be",
            "its name says 0000",
            "correct the hash",
        ),
        inputs={"load.ckpt_name": "sd15.safetensors#sha256=" + "0" * 64},
    ),
    "malformed reference": Bad(
        "bad_reference",
        ("'hf://nobody' is no reference", "hf://owner/name@revision/file.safetensors"),
        inputs={"load.ckpt_name": "hf://nobody"},
    ),
    "unknown reference": Bad(
        "hub_offline",
        ("hf://nobody/nothing@main/model.safetensors is not downloaded", "nodegraph models pull"),
        inputs={"load.ckpt_name": "hf://nobody/nothing@main/model.safetensors"},
        fails=True,
    ),
    "incomplete checkpoint": Bad(
        "missing_weights",
        ("'hole.safetensors' does not hold a complete U-Net", "output_blocks.1."),
        inputs={"load.ckpt_name": "hole.safetensors"},
        where="sample",
        fails=True,
    ),
    "no text encoder": Bad(
        "missing_part",
        ("'flux.safetensors' holds no text encoder", "from a file of its own"),
        inputs={"load.ckpt_name": "flux.safetensors"},
        where="text",
        fails=True,
    ),
    "LoRA of another family": Bad(
        "lora_mismatch",
        ("'sdxl.safetensors' fits neither", "it looks like one for Stable Diffusion XL"),
        {
            "lora": (
                "LoraLoader",
                {
                    "model": ["load", 0],
                    "clip": ["load", 1],
                    "lora_name": "sdxl.safetensors",
                    "strength_model": 1.0,
                    "strength_clip": 1.0,
                },
            )
        },
        {"sample.model": ["lora", 0], "text.clip": ["lora", 1]},
        where="lora",
        fails=True,
    ),
    "no LoRA": Bad(
        "not_a_lora",
        ("'none.safetensors' holds no LoRA",),
        {
            "lora": (
                "LoraLoaderModelOnly",
                {"model": ["load", 0], "lora_name": "none.safetensors", "strength_model": 1.0},
            )
        },
        {"sample.model": ["lora", 0]},
        where="lora",
    ),
    "conditioning of another family": Bad(
        "wrong_conditioning",
        ("64 wide", "128 wide", "Encode the prompt with the CLIP that belongs to the model"),
        {"other": ("CheckpointLoaderSimple", {"ckpt_name": "sdxl.safetensors"})},
        {"sample.model": ["other", 0]},
        where="sample",
        fails=True,
    ),
    "VAE of another family": Bad(
        "wrong_latent",
        ("4 channels", "16", "Use the VAE of the model that made the latent"),
        {"vae": ("VAELoader", {"vae_name": "ae16.safetensors"})},
        {"decode.vae": ["vae", 0]},
        where="decode",
        fails=True,
    ),
    "no VAE": Bad(
        "not_a_vae",
        ("'lora.safetensors' holds no VAE", "lora_unet_input_blocks_1_1_proj_in"),
        {"vae": ("VAELoader", {"vae_name": "lora.safetensors"})},
        {"decode.vae": ["vae", 0]},
        where="vae",
    ),
    "latent of another family": Bad(
        "latent_channels",
        ("16 channels", "this model reads 4", "the VAE that belongs to the model"),
        {"latent": ("LoadLatent", {"latent": "sd3.latent"})},
        {"sample.latent_image": ["latent", 0]},
        where="sample",
        fails=True,
    ),
    "latent of NaN": Bad(
        "not_finite",
        ("infinite or none (NaN)", "Lower the guidance"),
        {"latent": ("LoadLatent", {"latent": "nan.latent"})},
        {"sample.latent_image": ["latent", 0]},
        where="sample",
        fails=True,
    ),
    "latent of NaN, decoded": Bad(
        "not_finite",
        ("The latent has numbers that are infinite or none (NaN)",),
        {"latent": ("LoadLatent", {"latent": "nan.latent"})},
        {"decode.samples": ["latent", 0]},
        where="decode",
        fails=True,
    ),
    "ControlNet of another family": Bad(
        "controlnet_mismatch",
        ("'wide.safetensors' does not fit the model", "made for the model's family"),
        {
            "net": ("ControlNetLoader", {"control_net_name": "wide.safetensors"}),
            "picture": LOAD_PICTURE,
            "steer": STEER,
        },
        {"sample.positive": ["steer", 0]},
        where="sample",
        fails=True,
    ),
    "no ControlNet": Bad(
        "not_a_controlnet",
        ("'lora.safetensors' holds no ControlNet",),
        {
            "net": ("ControlNetLoader", {"control_net_name": "lora.safetensors"}),
            "picture": LOAD_PICTURE,
            "steer": STEER,
        },
        {"sample.positive": ["steer", 0]},
        where="net",
    ),
    "no upscale model": Bad(
        "not_an_upscaler",
        ("'lora.safetensors' holds no upscale model", "ESRGAN"),
        {
            "net": ("UpscaleModelLoader", {"model_name": "lora.safetensors"}),
            "large": (
                "ImageUpscaleWithModel",
                {"upscale_model": ["net", 0], "image": ["decode", 0]},
            ),
        },
        {"save.images": ["large", 0]},
        where="net",
    ),
    "size below the least": Bad(
        "value_smaller_than_min",
        ("'width' is 8, below its minimum of 16", "16 to 16384"),
        inputs={"empty.width": 8},
        where="empty",
    ),
    "size beyond the model": Bad(
        "too_large_latent",
        ("too large for this model", "pixels"),
        inputs={"load.ckpt_name": "sd3.safetensors", "empty.width": 512},
        where="sample",
        fails=True,
    ),
    "more than the memory": Bad(
        "out_of_memory",
        ("EmptyImage ran out of memory", "TiB at once", "smaller width, height or batch size"),
        {
            "large": (
                "EmptyImage",
                {"width": 16384, "height": 16384, "batch_size": 4096, "color": 0},
            )
        },
        {"save.images": ["large", 0]},
        where="large",
        fails=True,
    ),
    "unknown sampler": Bad(
        "value_not_in_list",
        ("'euler_a'", "Did you mean 'euler_ancestral'?"),
        inputs={"sample.sampler_name": "euler_a"},
        where="sample",
    ),
    "guidance that is no number": Bad(
        "invalid_input_type",
        ("'cfg' takes FLOAT, not 'high'", "It may be 0.0 to 100.0."),
        inputs={"sample.cfg": "high"},
        where="sample",
    ),
    "a list of no prompts": Bad(
        "bad_linked_input",
        ("'text' is no link: []", '["node id", output number]'),
        inputs={"text.text": []},
        where="text",
    ),
    "missing input": Bad(
        "required_input_missing",
        ("'images' is missing", "It takes IMAGE."),
        {"save": ("SaveImage", {"filename_prefix": "made"})},
        where="save",
    ),
    "wrong kind of link": Bad(
        "return_type_mismatch",
        ("'vae' takes VAE", "carries MODEL", "Output 2 of that node would fit."),
        inputs={"decode.vae": ["load", 0]},
        where="decode",
    ),
    "link to nothing": Bad(
        "link_to_missing_node",
        ("'samples' is linked to node 'smaple'", "Did you mean 'sample'?"),
        inputs={"decode.samples": ["smaple", 0]},
        where="decode",
    ),
    "unknown node type": Bad(
        "unknown_node_type",
        ("KSamper", "Did you mean 'KSampler'?"),
        {"sample": ("KSamper", {})},
        where="sample",
        gone=True,
    ),
    "no picture": Bad(
        "not_an_image",
        ("'notes.png' can not be loaded as an image", "PNG, JPEG"),
        {"picture": ("LoadImage", {"image": "notes.png"})},
        {"save.images": ["picture", 0]},
        where="picture",
    ),
    "half a picture": Bad(
        "damaged_image",
        ("'half.png' is damaged", "Copy it again"),
        {"picture": ("LoadImage", {"image": "half.png"})},
        {"save.images": ["picture", 0]},
        where="picture",
        fails=True,
    ),
    "missing picture": Bad(
        "value_not_in_list",
        ("'tael.png'", "the input folder", "Did you mean 'teal.png'?"),
        {"picture": ("LoadImage", {"image": "tael.png"})},
        {"save.images": ["picture", 0]},
        where="picture",
    ),
    "a result outside the folder": Bad(
        "unsafe_path",
        ("'../made' is refused", "Use a plain relative name"),
        inputs={"save.filename_prefix": "../made"},
        where="save",
    ),
}
