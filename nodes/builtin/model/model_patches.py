"""Nodes that patch a model otherwise than by a LoRA: quantization, USO's style reference."""

from dataclasses import replace
from typing import Annotated, Literal

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile, Name
from nodegraph.definition.node import node
from nodes.models.adapters.style import ProjectorHandle, StyleTokens, open_projector
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.factory import network_class
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.patches.quantized import Scheme, quantized_patch
from nodes.values import SeenPictures


@node(
    "ModelPatchLoader",
    category="advanced/loaders",
    experimental=True,
    preflight="nodes.preflight.models:model_patch",
)
def model_patch_loader(
    name: Annotated[str, ModelFile("model_patches")], ctx: Context
) -> ProjectorHandle:
    """Open a model patch that is no LoRA: USO's projector."""
    path = ctx.files.model("model_patches", name)
    return open_projector(path, ctx.files.identity(path), ctx.models)


@node("USOStyleReference", category="advanced/model_patches/flux", experimental=True)
def uso_style_reference(
    model: ModelHandle, model_patch: ProjectorHandle, clip_vision_output: SeenPictures
) -> ModelHandle:
    """Follow the style of an image, with USO's projector and LoRA on FLUX.1 dev.

    The image must be encoded by SigLIP so400m; several can be chained.
    """
    config, found = model.model.network.spec.config, model_patch.network.spec.config["width"]
    heads = config.get("num_attention_heads")
    reads = network_class(model.model.network.spec.kind).reads_projected
    wide = heads * config["attention_head_dim"] if reads else 0
    if wide != found:
        raise ModelMismatchError(model_patch.network.header.path, code="model_patch_mismatch")
    tokens = StyleTokens(model_patch.tokens(clip_vision_output))
    return replace(model, injections=(*model.injections, tokens))


@node("ModelAttentionBackend", category="advanced/model", display_name="Model Attention Backend")
def model_attention_backend(
    model: ModelHandle,
    attention: Literal["pytorch attention", "comfy kitchen attention"] = "pytorch attention",
    *,
    ctx: Context,
) -> Annotated[ModelHandle, Name("model")]:
    """Ask for a way to compute attention; the model stays as it is.

    nodegraph's setting `attention` chooses it for all models. Kernels of Comfy Kitchen are not
    there; ComfyUI, too, computes without them where it has none.
    """
    if attention == "comfy kitchen attention":
        ctx.notice("comfy kitchen attention is not there; the setting `attention` holds.")
    return model


@node("QuantizeModel", category="advanced/model")
def quantize_model(model: ModelHandle, scheme: Scheme = "int8_weight_only") -> ModelHandle:
    """Quantize the matrices of a model's blocks to 8 or 4 bits, with torchao (extra `quant`).

    `weight_only` unpacks them when they are used, `dynamic` multiplies in 8 bits. LoRAs applied
    before are quantized with the model; matrices that later ones change are in full precision
    again. Four bits need a GPU that torchao's kernels support.
    """
    return model.with_patch(quantized_patch(scheme, model.model.network))
