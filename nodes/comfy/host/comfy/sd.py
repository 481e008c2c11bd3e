"""`comfy.sd`: the classes of CLIP and VAE values, and loaders."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from torch import Tensor

from nodes.comfy.host.comfy.files import file_of, is_in_folder, load_by_path, name_in_folder
from nodes.comfy.host.comfy.lora import load_lora, model_lora_keys_clip, model_lora_keys_unet
from nodes.comfy.host.node_classes import call
from nodes.comfy.values.encoders import PackClip, PackVae
from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.models import PackModel

CLIP = PackClip
VAE = PackVae


class CLIPType(Enum):
    """The kinds of text encoders, numbered as in ComfyUI."""

    STABLE_DIFFUSION = 1
    STABLE_CASCADE = 2
    SD3 = 3
    STABLE_AUDIO = 4
    HUNYUAN_DIT = 5
    FLUX = 6
    MOCHI = 7
    LTXV = 8
    HUNYUAN_VIDEO = 9
    PIXART = 10
    COSMOS = 11
    LUMINA2 = 12
    WAN = 13
    HIDREAM = 14
    CHROMA = 15
    ACE = 16
    OMNIGEN2 = 17
    QWEN_IMAGE = 18
    HUNYUAN_IMAGE = 19


def load_checkpoint_guess_config(
    ckpt_path: str,
    output_vae: bool = True,
    output_clip: bool = True,
    output_clipvision: bool = False,
    *_more: object,
    **_rest: object,
) -> tuple[PackModel, PackClip | None, PackVae | None, None]:
    """Return a checkpoint's model, text encoders and VAE; no image encoder.

    Raises:
        NotOfferedError: the file is in no folder of checkpoints, or the image encoder is wanted.
    """
    if output_clipvision:
        what = "the image encoder of a checkpoint"
        raise NotOfferedError(what)
    model, clip, vae = load_by_path(ckpt_path, "checkpoints", "CheckpointLoaderSimple")
    return model, clip if output_clip else None, vae if output_vae else None, None


def load_checkpoint(
    config_path: str | None = None,
    ckpt_path: str | None = None,
    output_vae: bool = True,
    output_clip: bool = True,
    *_more: object,
    **_rest: object,
) -> tuple[PackModel, PackClip | None, PackVae | None]:
    """Return a checkpoint's model, text encoders and VAE; its configuration is recognised.

    Raises:
        NotOfferedError: the file is in no folder of checkpoints.
    """
    del config_path
    return load_checkpoint_guess_config(str(ckpt_path), output_vae, output_clip)[:3]


def load_diffusion_model(unet_path: str, *_more: object, **_rest: object) -> PackModel:
    """Return the model in a file; options such as a dtype are left to the engine.

    Raises:
        NotOfferedError: the file is in no folder of diffusion models.
    """
    return load_by_path(unet_path, "diffusion_models", "UNETLoader")[0]


load_unet = load_diffusion_model


def load_clip(
    ckpt_paths: list[str],
    embedding_directory: object = None,
    clip_type: CLIPType = CLIPType.STABLE_DIFFUSION,
    *_more: object,
    **_rest: object,
) -> PackClip:
    """Return the text encoders in one file or two.

    Raises:
        NotOfferedError: a file is in no folder of text encoders, or there are more than two.
    """
    del embedding_directory
    if len(ckpt_paths) > 2:
        what = f"comfy.sd.load_clip with {len(ckpt_paths)} files"
        raise NotOfferedError(what)
    names = [name_in_folder(path, "text_encoders") for path in ckpt_paths]
    kind = clip_type.name.lower()
    if len(names) == 1:
        return call("CLIPLoader", {"clip_name": names[0], "type": kind})[0]
    return call("DualCLIPLoader", {"clip_name1": names[0], "clip_name2": names[1], "type": kind})[0]


def load_style_model(ckpt_path: str) -> Any:
    """Return the style model in a file.

    Raises:
        NotOfferedError: the file is in no folder of style models.
    """
    return load_by_path(ckpt_path, "style_models", "StyleModelLoader")[0]


def load_lora_for_models(
    model: PackModel | None,
    clip: PackClip | None,
    lora: Mapping[str, Tensor],
    strength_model: float,
    strength_clip: float,
) -> tuple[PackModel | None, PackClip | None]:
    """Return model and text encoders with a LoRA.

    Tensors as `comfy.utils.load_torch_file` has loaded them, of a file in a model folder, are read
    from there when they are needed, as our own nodes do.
    """
    node_type = "LoraLoaderModelOnly" if clip is None else "LoraLoader"
    inputs: dict[str, Any] = {"model": model, "strength_model": strength_model}
    if clip is not None:
        inputs |= {"clip": clip, "strength_clip": strength_clip}
    if model is not None and is_in_folder(lora, "loras"):
        found = load_by_path(file_of(lora, "a LoRA"), "loras", node_type, **inputs)
        return found[0], None if clip is None else found[1]
    key_map = {} if model is None else model_lora_keys_unet(model.model)
    changes = load_lora(
        lora, key_map if clip is None else model_lora_keys_clip(clip.cond_stage_model, key_map)
    )
    model, clip = model and model.clone(), clip and clip.clone()
    if model is not None and strength_model:
        model.add_patches(changes, strength_model)
    if clip is not None and strength_clip:
        clip.add_patches(changes, strength_clip)
    return model, clip
