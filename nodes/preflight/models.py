"""Checks of model files by their headers, made before anything is computed; needs no torch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from nodegraph.files.files import Files
from nodes.models.families.adapters import upscalers
from nodes.models.families.adapters.gligen import gligen_prefix
from nodes.models.families.adapters.hypernetwork import read_hypernetwork
from nodes.models.families.adapters.ip_adapter import ip_adapter_spec
from nodes.models.families.adapters.photomaker import photomaker_spec
from nodes.models.families.adapters.safety import unnest_encoder
from nodes.models.families.adapters.style import model_patch_spec, style_spec
from nodes.models.families.adapters.vision import vision_spec
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.vaes import tiny_vae
from nodes.models.families.base.vaes.vae import read_lone_vae
from nodes.models.families.controlnets.registry import control_spec
from nodes.models.families.diffusers_layout import read_model
from nodes.models.families.original_config import predicts_v
from nodes.models.families.registry import architecture_of
from nodes.models.families.text_files import read_text_files
from nodes.models.patches.lora_file import LoraFile
from nodes.models.weights.header import Header, read_header

Check: TypeAlias = Callable[[Mapping[str, object], Files], None]
"""Raises a `NodeGraphError` if a file that an input names is not what the node needs."""


def _check(name: str, folder: str, read: Callable[[Path], object]) -> Check:
    """Make a check that `read` accepts the file of a model folder that the input `name` names."""

    def check(inputs: Mapping[str, object], files: Files) -> None:
        given = inputs.get(name)
        if isinstance(given, str):
            read(files.model(folder, given))

    return check


def _check_both(first: Check, second: Check) -> Check:
    def check(inputs: Mapping[str, object], files: Files) -> None:
        first(inputs, files)
        second(inputs, files)

    return check


def _from_header(read: Callable[[Header], object]) -> Callable[[Path], object]:
    """Make a function of a header into one of a file."""
    return lambda path: read(read_header(path))


def _architecture(path: Path) -> object:
    return architecture_of(read_model(path))


def _lora(path: Path) -> None:
    file = LoraFile(path, identity="")
    if not file.modules:
        raise UnrecognisedFileError(path, file.header.summary, code="not_a_lora")


checkpoint = _check("ckpt_name", "checkpoints", _architecture)
configured_checkpoint = _check_both(checkpoint, _check("config_name", "configs", predicts_v))
unclip_checkpoint = _check_both(
    checkpoint, _check("ckpt_name", "checkpoints", _from_header(vision_spec))
)
diffusers_folder = _check("model_path", "diffusers", _architecture)
diffusion_model = _check("unet_name", "diffusion_models", _architecture)
lora = _check("lora_name", "loras", _lora)
controlnet = _check("control_net_name", "controlnet", _from_header(control_spec))
vision_encoder = _check("clip_name", "clip_vision", _from_header(vision_spec))
safety_checker = _check(
    "checker_name",
    "safety_checker",
    _from_header(lambda header: vision_spec(unnest_encoder(header))),
)
upscale_model = _check("model_name", "upscale_models", _from_header(upscalers.upscaler_spec))
style_model = _check("style_model_name", "style_models", _from_header(style_spec))
model_patch = _check("name", "model_patches", _from_header(model_patch_spec))
ip_adapter = _check("ipadapter_name", "ipadapter", _from_header(ip_adapter_spec))
photomaker = _check("photomaker_model_name", "photomaker", _from_header(photomaker_spec))
hypernetwork = _check("hypernetwork_name", "hypernetworks", _from_header(read_hypernetwork))
gligen = _check("gligen_name", "gligen", _from_header(gligen_prefix))


def lone_vae(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the VAE's file is complete and of a known kind.

    Raises:
        NodeGraphError: it is not, or does not.
    """
    name = inputs.get("vae_name")
    if isinstance(name, str) and name in tiny_vae.KNOWN:
        encoder, decoder = map(read_header, files.models.pair(tiny_vae.FOLDER, name))
        tiny_vae.read_tiny_vae(tiny_vae.join_halves(encoder, decoder), name)
    elif isinstance(name, str) and name != "pixel_space":
        read_lone_vae(read_model(files.model("vae", name)))


def text_encoder(inputs: Mapping[str, object], files: Files) -> None:
    """Check that a text encoder's file is complete and fits the loader's type.

    Raises:
        NodeGraphError: it is not, or does not.
    """
    _text_encoders(inputs, files, ("clip_name",))


def two_text_encoders(inputs: Mapping[str, object], files: Files) -> None:
    """Check two text encoders' files; raises what `text_encoder` raises."""
    _text_encoders(inputs, files, ("clip_name1", "clip_name2"))


def three_text_encoders(inputs: Mapping[str, object], files: Files) -> None:
    """Check SD3's three text encoders' files; raises what `text_encoder` raises."""
    names = ("clip_name1", "clip_name2", "clip_name3")
    _text_encoders({**inputs, "type": None}, files, names)


def _text_encoders(inputs: Mapping[str, object], files: Files, names: Sequence[str]) -> None:
    given = [name for name in map(inputs.get, names) if isinstance(name, str)]
    kind = inputs.get("type")
    if (kind is None or isinstance(kind, str)) and len(given) == len(names):
        headers = [read_model(files.model("text_encoders", name)) for name in given]
        read_text_files(headers, kind)
