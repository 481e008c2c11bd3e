"""The built-in pack: images and the models that make them.

Importing it must not import torch: servers and validators read `PACK` alone.
"""

from nodegraph.pack import Pack

PACK = Pack(
    name="nodes",
    version="0.1.0",
    modules=(
        "nodes.primitives",
        "nodes.conditioning",
        "nodes.loaders",
        "nodes.text_loaders",
        "nodes.prompts",
        "nodes.family_prompts",
        "nodes.flux_conditioning",
        "nodes.vae",
        "nodes.lora",
        "nodes.controlnets",
        "nodes.vision",
        "nodes.style",
        "nodes.model_patches",
        "nodes.model_sampling",
        "nodes.model_guidance",
        "nodes.sampling",
        "nodes.custom_sampling",
        "nodes.guiders",
        "nodes.batching",
        "nodes.sampler_choice",
        "nodes.schedulers",
        "nodes.sigmas",
        "nodes.latents",
        "nodes.latent_batches",
        "nodes.latent_math",
        "nodes.latent_transforms",
        "nodes.images",
        "nodes.image_batches",
        "nodes.transforms",
        "nodes.upscaling",
        "nodes.padding",
        "nodes.filters",
        "nodes.colours",
        "nodes.canny",
        "nodes.compositing",
        "nodes.porter_duff",
        "nodes.masks",
        "nodes.mask_channels",
        "nodes.image_files",
        "nodes.animations",
        "nodes.latent_files",
        "nodes.strings",
        "nodes.regexes",
    ),
    models={
        "checkpoints": (
            "assets/demo-shapes.safetensors",
            "assets/demo-shapes-turbo.safetensors",
        ),
        "loras": ("assets/demo-outline-lora.safetensors",),
    },
)
