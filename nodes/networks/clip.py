"""CLIP's text encoder."""

from typing import Any, Protocol, cast

from torch import nn

from nodes.networks.builder import Build


class ClipEmbeddings(Protocol):
    """The first stage of a CLIP text encoder."""

    token_embedding: nn.Embedding
    position_embedding: nn.Embedding


class ClipEncoder(Protocol):
    """Its layers."""

    layers: nn.ModuleList


class Clip(Protocol):
    """The parts of a CLIP text encoder, which are driven one by one.

    transformers' own forward takes no embeddings, and runs every layer.
    """

    embeddings: ClipEmbeddings
    encoder: ClipEncoder
    final_layer_norm: nn.LayerNorm


def builder() -> Build:
    """For `nodes.networks.build.skeleton`."""
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("nn.Module", CLIPTextModel(CLIPTextConfig(**config)))
        embeddings = cast("nn.Module", model.embeddings)
        del embeddings.position_ids  # a buffer that no file has; positions are always all of them
        return model

    return build
