"""CLIP's text encoder (Radford et al. 2021, arXiv:2103.00020), OpenAI's and OpenCLIP's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass, TextClass
from nodes.models.networks.base.pictures import TextPictures
from nodes.models.residency.units import Parts


class _Embeddings(Protocol):
    token_embedding: nn.Embedding
    position_embedding: nn.Embedding


class _Encoder(Protocol):
    layers: nn.ModuleList


class _Clip(Protocol):
    embeddings: _Embeddings
    encoder: _Encoder
    final_layer_norm: nn.LayerNorm


@dataclass(frozen=True, slots=True)
class ClipText:
    """Drives a CLIP text encoder; see `nodes.models.networks.base.builder.TextNetwork`."""

    module: nn.Module
    pools: bool = True

    @property
    def token_embedding(self) -> Tensor:
        """The token embedding."""
        return self._clip.embeddings.token_embedding.weight

    @property
    def depth(self) -> int:
        """The number of its layers."""
        return len(self._clip.encoder.layers)

    def states(
        self,
        embedded: Tensor,
        attended: Tensor | None = None,
        positions: Tensor | None = None,
        pictures: TextPictures | None = None,
    ) -> Iterator[Tensor]:
        """Yield each layer's output; a token attends to those before it."""
        del attended, positions, pictures
        positions = self._clip.embeddings.position_embedding.weight
        hidden = embedded.to(positions) + positions[: embedded.shape[1]]
        for layer in self._clip.encoder.layers:
            hidden = cast("Tensor", layer(hidden, None, is_causal=True))
            yield hidden

    def norm(self, states: Tensor) -> Tensor:
        """Apply the final layer norm."""
        return self._clip.final_layer_norm(states)

    def project(self, pooled: Tensor) -> Tensor:
        """Apply the text projection, if there is one."""
        projection = cast("nn.Linear | None", getattr(self.module, "text_projection", None))
        return pooled if projection is None else projection(pooled)

    @property
    def _clip(self) -> _Clip:
        return cast("_Clip", self.module)


def builder() -> Build:
    """Return the builder of a text encoder; a `projection_dim` asks for a text projection."""
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("nn.Module", CLIPTextModel(CLIPTextConfig(**config)))
        embeddings = cast("nn.Module", model.embeddings)
        del embeddings.position_ids  # a buffer that no file has; all positions are used
        if "projection_dim" in config:
            width, projected = config["hidden_size"], config["projection_dim"]
            model.text_projection = nn.Linear(width, projected, bias=False)
        return model

    return build


NETWORK = NetworkClass(
    "clip",
    "text encoder",
    builder,
    text=TextClass(ClipText, "hidden_size"),
    parts=Parts(
        uncalled=("encoder", "embeddings", "embeddings.position_embedding"),
        tables=("embeddings.token_embedding",),
    ),
)
