"""What a model file's header tells before anything is computed; needs no torch."""

from collections.abc import Mapping, Sequence

from nodegraph.files import Files
from nodes.errors import NotALoraError
from nodes.families import tiny_vae, upscalers
from nodes.families.config_files import predicts_v
from nodes.families.controls import control_of
from nodes.families.gligen import gligen_prefix
from nodes.families.ip_adapter import ip_adapter_spec
from nodes.families.known import architecture_of
from nodes.families.layouts import read_model
from nodes.families.photomaker import photomaker_spec
from nodes.families.safety import without_outer
from nodes.families.style import projector_spec, style_spec
from nodes.families.text_files import read_text_files
from nodes.families.vae import read_lone_vae
from nodes.families.vision import vision_spec
from nodes.weights.header import read_header
from nodes.weights.lora_file import LoraFile


def checkpoint(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the checkpoint is whole, of a format that is read and of a known family.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("ckpt_name")
    if isinstance(name, str):
        architecture_of(read_model(files.model("checkpoints", name)))


def configured_checkpoint(inputs: Mapping[str, object], files: Files) -> None:
    """The same, and that its configuration is YAML.

    Raises:
        NodeGraphError: it is not.
    """
    checkpoint(inputs, files)
    name = inputs.get("config_name")
    if isinstance(name, str):
        predicts_v(files.model("configs", name))


def diffusers_folder(inputs: Mapping[str, object], files: Files) -> None:
    """The same for a folder as diffusers writes it.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("model_path")
    if isinstance(name, str):
        architecture_of(read_model(files.model("diffusers", name)))


def unclip_checkpoint(inputs: Mapping[str, object], files: Files) -> None:
    """The same for a checkpoint that needs a vision encoder, too.

    Raises:
        NodeGraphError: it is not.
    """
    checkpoint(inputs, files)
    name = inputs.get("ckpt_name")
    if isinstance(name, str):
        vision_spec(read_header(files.model("checkpoints", name)))


def diffusion_model(inputs: Mapping[str, object], files: Files) -> None:
    """The same for a file that needs to hold nothing but the part that denoises.

    Raises:
        NodeGraphError: it does not.
    """
    name = inputs.get("unet_name")
    if isinstance(name, str):
        architecture_of(read_model(files.model("diffusion_models", name)))


def lone_vae(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the VAE is whole, and one that is known.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("vae_name")
    if isinstance(name, str) and name in tiny_vae.KNOWN:
        encoder, decoder = map(read_header, files.model_pair(tiny_vae.FOLDER, name))
        tiny_vae.read_tiny_vae(tiny_vae.joined(encoder, decoder), name)
    elif isinstance(name, str) and name != "pixel_space":
        read_lone_vae(read_model(files.model("vae", name)))


def lora(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the LoRA is whole and of a format that is read.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("lora_name")
    if isinstance(name, str):
        path = files.model("loras", name)
        if not LoraFile(path, identity="").modules:
            raise NotALoraError(path)


def controlnet(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the ControlNet is whole, and one that is known.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("control_net_name")
    if isinstance(name, str):
        control_of(read_header(files.model("controlnet", name)))


def vision_encoder(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the vision encoder is whole, and one that is known.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("clip_name")
    if isinstance(name, str):
        vision_spec(read_header(files.model("clip_vision", name)))


def safety_checker(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the safety checker is whole, and one that is known.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("checker_name")
    if isinstance(name, str):
        vision_spec(without_outer(read_header(files.model("safety_checker", name))))


def upscale_model(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the upscale model is whole, and one that is known.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("model_name")
    if isinstance(name, str):
        upscalers.spec_of(read_header(files.model("upscale_models", name)))


def style_model(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the style model is whole, and one that is known.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("style_model_name")
    if isinstance(name, str):
        style_spec(read_header(files.model("style_models", name)))


def model_patch(inputs: Mapping[str, object], files: Files) -> None:
    """The same for a model patch.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("name")
    if isinstance(name, str):
        projector_spec(read_header(files.model("model_patches", name)))


def ip_adapter(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the IP-Adapter is whole, and one that is known.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("ipadapter_name")
    if isinstance(name, str):
        ip_adapter_spec(read_header(files.model("ipadapter", name)))


def photomaker(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the PhotoMaker is whole, and one that is known.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("photomaker_model_name")
    if isinstance(name, str):
        photomaker_spec(read_header(files.model("photomaker", name)))


def gligen(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the GLIGEN model is whole, and one.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("gligen_name")
    if isinstance(name, str):
        gligen_prefix(read_header(files.model("gligen", name)))


def text_encoder(inputs: Mapping[str, object], files: Files) -> None:
    """Check that a text encoder's file is whole, and what the loader's type wants.

    Raises:
        NodeGraphError: it is not.
    """
    _text_encoders(inputs, files, ("clip_name",))


def two_text_encoders(inputs: Mapping[str, object], files: Files) -> None:
    """The same for two files; raises what `text_encoder` raises."""
    _text_encoders(inputs, files, ("clip_name1", "clip_name2"))


def three_text_encoders(inputs: Mapping[str, object], files: Files) -> None:
    """The same for three, which are SD3's; raises what `text_encoder` raises."""
    _text_encoders({**inputs, "type": "sd3"}, files, ("clip_name1", "clip_name2", "clip_name3"))


def _text_encoders(inputs: Mapping[str, object], files: Files, names: Sequence[str]) -> None:
    given = [name for name in map(inputs.get, names) if isinstance(name, str)]
    kind = inputs.get("type")
    if isinstance(kind, str) and len(given) == len(names):
        headers = [read_model(files.model("text_encoders", name)) for name in given]
        read_text_files(headers, kind)
