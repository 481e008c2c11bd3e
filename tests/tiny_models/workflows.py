"""Whole workflows over the files of `model_folder`, one for each thing that a model can do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from nodegraph import Graph
from nodegraph.packs.registry import Registry
from nodegraph.python.outputs import Out

SIDE = 64
"""Pixels of the picture, and of most of the results."""
PICTURE = "picture.png"
LATENT, IMAGE = "samples", "images"
"""What a workflow makes: the inputs by which it is saved."""


@dataclass
class Draft:
    """A workflow in the making: a graph with the parts of one checkpoint.

    Args:
        registry: the node types.
        family: the checkpoint.
        seed: of the noise.
        steps: of the sampler.
        side: pixels of an empty latent.
        batch: how many of them.
    """

    registry: Registry
    family: str
    seed: int
    steps: int
    side: int = SIDE
    batch: int = 1
    g: Graph = field(init=False)
    model: Out[Any] = field(init=False)
    clip: Out[Any] = field(init=False)
    vae: Out[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.g = Graph(self.registry)
        self.model, self.clip, self.vae = self.load(self.family)

    def load(self, name: str) -> tuple[Out[Any], Out[Any], Out[Any]]:
        return self.g.CheckpointLoaderSimple(ckpt_name=f"{name}.safetensors")

    def picture(self) -> Out[Any]:
        return self.g.LoadImage(image=PICTURE)[0]

    def mask(self) -> Out[Any]:
        return self.g.FeatherMask(
            mask=self.g.SolidMask(value=1.0, width=SIDE, height=SIDE), left=40, top=8
        )

    def text(self, text: str = "a cat") -> Out[Any]:
        return self.g.CLIPTextEncode(clip=self.clip, text=text)

    def blank(self, batch: int = 0, side: int = 0) -> Out[Any]:
        side, batch = side or self.side, batch or self.batch
        if self.family in ("sd3", "flux"):
            return self.g.EmptySD3LatentImage(width=side, height=side, batch_size=batch)
        return self.g.EmptyLatentImage(width=side, height=side, batch_size=batch)

    def sample(self, positive: Out[Any] | None = None, **inputs: Any) -> Out[Any]:
        """Let a KSampler make a latent; inputs that are not given have the usual values."""
        cfg = 1.0 if self.family == "flux" else 4.0
        given: dict[str, Any] = {"model": self.model, "cfg": cfg, "denoise": 1.0, **inputs}
        given.setdefault("negative", self.text("a dog"))
        if "latent_image" not in given:
            given["latent_image"] = self.blank()
        given["positive"] = self.text() if positive is None else positive
        return self.g.KSampler(
            **given, seed=self.seed, steps=self.steps, sampler_name="euler", scheduler="normal"
        )

    def saved(self, made: Out[Any], kind: str) -> dict[str, Any]:
        """The prompt that saves a latent or an image, by node `saved`."""
        if kind == LATENT:
            self.g.SaveLatent(samples=made, filename_prefix="saved", id_="saved")
        else:
            self.g.SaveImage(images=made, filename_prefix="saved", id_="saved")
        return self.g.prompt()


Make: TypeAlias = Callable[[Draft], Out[Any]]


def controlled(name: str, d: Draft) -> Out[Any]:
    """A ControlNet, stronger at the start."""
    net = d.g.ControlNetLoader(control_net_name=f"{name}.safetensors")
    steered = d.g.ControlNetApplyAdvanced(
        positive=d.text(), negative=d.text("a dog"), control_net=net, image=d.picture(),
        strength=0.8, start_percent=0.0, end_percent=0.7, vae=d.vae,
    )  # fmt: skip
    return d.sample(steered[0], negative=steered[1])


def two_controls(d: Draft) -> Out[Any]:
    said = d.text()
    for name in ("sd15_edges", "t2i_adapter"):
        net = d.g.ControlNetLoader(control_net_name=f"{name}.safetensors")
        said = d.g.ControlNetApply(
            conditioning=said, control_net=net, image=d.picture(), strength=0.5
        )
    return d.sample(said)


def boxes(d: Draft) -> Out[Any]:
    handle = d.g.GLIGENLoader(gligen_name="boxes.safetensors")
    said = d.g.GLIGENTextBoxApply(
        conditioning_to=d.text(), clip=d.clip, gligen_textbox_model=handle, text="a dog",
        width=32, height=32, x=8, y=8,
    )  # fmt: skip
    return d.sample(said)


def changed_keys(d: Draft) -> Out[Any]:
    model = d.g.HypernetworkLoader(
        model=d.model, hypernetwork_name="manner.safetensors", strength=0.8
    )
    return d.sample(model=model)


def image_prompt(name: str, d: Draft) -> Out[Any]:
    eyes = d.g.CLIPVisionLoader(clip_name="eyes.safetensors")
    handle = d.g.IPAdapterLoader(ipadapter_name=f"{name}.safetensors")
    return d.sample(
        model=d.g.IPAdapterApply(
            model=d.model, ipadapter=handle, clip_vision=eyes, image=d.picture(), weight=0.7,
            start_percent=0.0, end_percent=0.8, mask=d.mask(),
        )
    )  # fmt: skip


def seen(d: Draft, eyes: Out[Any]) -> Out[Any]:
    return d.g.CLIPVisionEncode(clip_vision=eyes, image=d.picture(), crop="center")


def unclip(d: Draft) -> Out[Any]:
    d.model, d.clip, d.vae, eyes = d.g.unCLIPCheckpointLoader(ckpt_name="unclip.safetensors")
    said = d.g.unCLIPConditioning(
        conditioning=d.text(), clip_vision_output=seen(d, eyes), strength=1.0,
        noise_augmentation=0.1,
    )  # fmt: skip
    return d.sample(said)


def style(d: Draft) -> Out[Any]:
    eyes = d.g.CLIPVisionLoader(clip_name="eyes.safetensors")
    handle = d.g.StyleModelLoader(style_model_name="redux.safetensors")
    said = d.g.StyleModelApply(
        conditioning=d.text(), style_model=handle, clip_vision_output=seen(d, eyes), strength=1.0,
        strength_type="multiply",
    )  # fmt: skip
    return d.sample(said)


def loras(names: tuple[str, ...], d: Draft) -> Out[Any]:
    """A stack of LoRAs, each a little weaker than the last."""
    for number, name in enumerate(names):
        d.model, d.clip = d.g.LoraLoader(
            model=d.model, clip=d.clip, lora_name=f"{name}.safetensors",
            strength_model=0.9 - 0.4 * number, strength_clip=0.8,
        )  # fmt: skip
    return d.sample()


def quantized(name: str, d: Draft) -> Out[Any]:
    d.model = d.g.UNETLoader(unet_name=name, weight_dtype="default")
    return d.sample()


def quantized_with_lora(name: str, d: Draft) -> Out[Any]:
    d.model = d.g.UNETLoader(unet_name=name, weight_dtype="default")
    return loras(("flux_lora",), d)


def merged(d: Draft) -> Out[Any]:
    model, clip, _ = d.load("sd15_other")
    d.clip = d.g.CLIPMergeSimple(clip1=d.clip, clip2=clip, ratio=0.6)
    return d.sample(model=d.g.ModelMergeSimple(model1=d.model, model2=model, ratio=0.3))


def merged_blocks(d: Draft) -> Out[Any]:
    model, _, _ = d.load("sd15_other")
    d.model = d.g.ModelMergeBlocks(model1=d.model, model2=model, input=0.2, middle=0.5, out=0.9)
    return loras(("sd15_lora",), d)


def with_difference(d: Draft) -> Out[Any]:
    """A model with what an inpainting model has learned: add and subtract."""
    model, clip, _ = d.load("sd15_other")
    difference = d.g.ModelMergeSubtract(model1=model, model2=d.model, multiplier=0.5)
    texts = d.g.CLIPMergeSubtract(clip1=clip, clip2=d.clip, multiplier=0.5)
    d.clip = d.g.CLIPMergeAdd(clip1=d.clip, clip2=texts)
    return d.sample(model=d.g.ModelMergeAdd(model1=d.model, model2=difference))


def inpainting_model(d: Draft) -> Out[Any]:
    shown = d.g.InpaintModelConditioning(
        positive=d.text(), negative=d.text("a dog"), vae=d.vae, pixels=d.picture(), mask=d.mask(),
        noise_mask=True,
    )  # fmt: skip
    return d.sample(shown[0], negative=shown[1], latent_image=shown[2])


def masked(d: Draft) -> Out[Any]:
    latent = d.g.VAEEncodeForInpaint(pixels=d.picture(), vae=d.vae, mask=d.mask())
    return d.sample(latent_image=latent, denoise=0.8)


def graded_mask(d: Draft) -> Out[Any]:
    encoded = d.g.VAEEncode(pixels=d.picture(), vae=d.vae)
    latent = d.g.SetLatentNoiseMask(samples=encoded, mask=d.mask())
    return d.sample(model=d.g.DifferentialDiffusion(model=d.model), latent_image=latent)


def regions(d: Draft) -> Out[Any]:
    """Texts for an area, for a mask and for a part of the steps; two pictures at once."""
    here = d.g.ConditioningSetArea(
        conditioning=d.text("a red square"), width=64, height=72, x=8, y=16, strength=0.9
    )
    masked = d.g.ConditioningSetMask(
        conditioning=d.text("blue"), mask=d.mask(), strength=0.7, set_cond_area="default"
    )
    early = d.g.ConditioningSetTimestepRange(conditioning=d.text("old"), start=0.0, end=0.4)
    both = d.g.ConditioningCombine(conditioning_1=here, conditioning_2=masked)
    said = d.g.ConditioningCombine(conditioning_1=both, conditioning_2=early)
    return d.sample(said, latent_image=d.blank(batch=2, side=96))


def enlarged(d: Draft) -> Out[Any]:
    """A latent that is made, enlarged, and made finer."""
    large = d.g.LatentUpscaleBy(samples=d.sample(), upscale_method="bilinear", scale_by=1.5)
    return d.sample(latent_image=large, denoise=0.6)


def enlarged_in_pixels(d: Draft) -> Out[Any]:
    """The same by way of the pixels, with an upscale model and tiles."""
    small = d.g.VAEDecodeTiled(samples=d.sample(), vae=d.vae, tile_size=64, overlap=16)
    handle = d.g.UpscaleModelLoader(model_name="esrgan.safetensors")
    large = d.g.ImageScale(
        image=d.g.ImageUpscaleWithModel(upscale_model=handle, image=small),
        upscale_method="bicubic", width=128, height=128, crop="disabled",
    )  # fmt: skip
    encoded = d.g.VAEEncodeTiled(pixels=large, vae=d.vae, tile_size=64, overlap=16)
    return d.sample(latent_image=encoded, denoise=0.5)


def altered(d: Draft) -> Out[Any]:
    """Changes inside of the forward pass and of the guidance."""
    model = d.g.FreeU_V2(model=d.model)
    model = d.g.PerturbedAttentionGuidance(model=model, scale=2.0)
    model = d.g.RescaleCFG(model=model, multiplier=0.5)
    return d.sample(model=d.g.ModelSamplingDiscrete(model=model, sampling="v_prediction"))


def references(d: Draft) -> Out[Any]:
    """FLUX.1 Kontext's way: a picture beside the one that is made."""
    encoded = d.g.VAEEncode(pixels=d.picture(), vae=d.vae)
    said = d.g.ReferenceLatent(conditioning=d.text(), latent=encoded)
    return d.sample(d.g.FluxGuidance(conditioning=said, guidance=2.5))


def decoded(d: Draft) -> Out[Any]:
    return d.g.VAEDecode(samples=d.sample(latent_image=d.blank(batch=2)), vae=d.vae)


def decoded_in_tiles(d: Draft) -> Out[Any]:
    latent = d.sample(latent_image=d.blank(side=128))
    return d.g.VAEDecodeTiled(samples=latent, vae=d.vae, tile_size=64, overlap=16)


def edited(d: Draft) -> Out[Any]:
    """What nodes of images and masks do to a picture that was made."""
    made = d.g.VAEDecode(samples=d.sample(), vae=d.vae)
    handle = d.g.UpscaleModelLoader(model_name="esrgan.safetensors")
    large = d.g.ImageUpscaleWithModel(upscale_model=handle, image=made)
    small = d.g.ImageScaleBy(image=large, upscale_method="area", scale_by=0.25)
    soft = d.g.ImageSharpen(image=d.g.ImageBlur(image=small, blur_radius=2, sigma=1.0))
    grown = d.g.GrowMask(mask=d.mask(), expand=4)
    mixed = d.g.ImageCompositeMasked(destination=d.picture(), source=soft, mask=grown)
    return d.g.ImageBlend(
        image1=mixed, image2=d.g.ImageInvert(image=made), blend_factor=0.3, blend_mode="screen"
    )


@dataclass(frozen=True)
class Case:
    """A workflow."""

    family: str
    make: Make
    kind: str = LATENT

    def prompt(
        self, registry: Registry, seed: int = 1, steps: int = 3, **sizes: int
    ) -> dict[str, Any]:
        """The workflow in API format; its node `saved` saves what is made."""
        draft = Draft(registry, self.family, seed, steps, **sizes)
        return draft.saved(self.make(draft), self.kind)


CASES: Mapping[str, Case] = {
    **{name: Case(name, Draft.sample) for name in ("sd15", "sdxl", "sd3", "flux")},
    **{
        f"controlnet_{name}": Case(name, partial(controlled, f"{name}_edges"))
        for name in ("sd15", "sdxl", "sd3", "flux")
    },
    **{
        f"lora_{name}": Case(name, partial(loras, (f"{name}_lora",)))
        for name in ("sdxl", "sd3", "flux")
    },
    "control_lora": Case("sdxl", partial(controlled, "sdxl_factors")),
    "t2i_adapter": Case("sd15", partial(controlled, "t2i_adapter")),
    "two_controls": Case("sd15", two_controls),
    "gligen": Case("sd15", boxes),
    "hypernetwork": Case("sd15", changed_keys),
    "ip_adapter": Case("sd15", partial(image_prompt, "plain")),
    "ip_adapter_plus": Case("sd15", partial(image_prompt, "plus")),
    "unclip": Case("unclip", unclip),
    "style_model": Case("flux", style),
    "lora_stack": Case("sd15", partial(loras, ("sd15_lora", "sd15_second"))),
    "fp8": Case("flux", partial(quantized, "flux_fp8.safetensors")),
    "gguf": Case("flux", partial(quantized, "flux_q4.gguf")),
    "fp8_lora": Case("flux", partial(quantized_with_lora, "flux_fp8.safetensors")),
    "gguf_lora": Case("flux", partial(quantized_with_lora, "flux_q4.gguf")),
    "merge": Case("sd15", merged),
    "merge_blocks": Case("sd15", merged_blocks),
    "merge_difference": Case("sd15", with_difference),
    "inpaint_model": Case("sd15_inpaint", inpainting_model),
    "inpaint_mask": Case("sd15", masked),
    "differential_diffusion": Case("sd15", graded_mask),
    "regions": Case("sd15", regions),
    "hires_fix": Case("sd15", enlarged),
    "hires_fix_pixels": Case("sd15", enlarged_in_pixels),
    "alterations": Case("sd15", altered),
    "kontext": Case("flux", references),
    "decode": Case("sdxl", decoded, IMAGE),
    "decode_tiled": Case("sd15", decoded_in_tiles, IMAGE),
    "edit": Case("sd15", edited, IMAGE),
}


def write_picture(folder: Path) -> None:
    """Write the picture that workflows read into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    across, down = (Image.linear_gradient("L").resize((SIDE, SIDE)) for _ in range(2))
    rows = down.transpose(Image.Transpose.ROTATE_90)
    Image.merge("RGB", (across, rows, Image.radial_gradient("L").resize((SIDE, SIDE)))).save(
        folder / PICTURE
    )
