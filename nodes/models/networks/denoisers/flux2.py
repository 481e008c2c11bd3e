"""The transformer of FLUX.2 (https://github.com/black-forest-labs/flux2, Apache-2.0).

Where `FluxKVCache` set a policy, reference pictures see each other alone, and are modulated as at
time 0, so that nothing of them depends on the step (klein 9B-KV; diffusers'
`Flux2KleinKVPipeline`, Apache-2.0).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, NamedTuple, Protocol, cast
from weakref import ref

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.prefix_cache import (
    LayerPrefix,
    PrefixPolicy,
    are_full,
    layers_of_run,
)
from nodes.models.networks.base.reference_latents import Start, name_references, place
from nodes.models.networks.base.text_inputs import text
from nodes.models.networks.denoisers.flux import GUIDANCE
from nodes.models.networks.modifiers.compiled import COMPILED
from nodes.models.residency.units import Parts
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

_INDEX_STEP = 10
"""The distance between the first coordinates of the picture and of one reference after another."""

_TIMES = 1000.0
"""The factor of timesteps and guidance before they are embedded."""


class Flux2Config(Protocol):
    """The entries of a configuration that are read here."""

    joint_attention_dim: int
    guidance_embeds: bool
    num_attention_heads: int
    attention_head_dim: int


class KeptReferences(NamedTuple):
    """References that are the same at every step; their tokens are the sequence's first."""

    number: int
    """Of their tokens."""
    layers: Sequence[LayerPrefix]
    """Places for their keys and values, which are read if they are full; none if nothing is kept.
    """


class Flux2(Protocol):
    """The interface of diffusers' FLUX.2 transformer, but for references that are kept."""

    config: Flux2Config
    prefix_policy: PrefixPolicy | None
    transformer_blocks: Sequence[nn.Module]
    single_transformer_blocks: Sequence[nn.Module]

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        timestep: "ExactNumber",
        img_ids: Tensor,
        txt_ids: Tensor,
        guidance: "ExactNumber | None",
        *,
        return_dict: bool,
        references: KeptReferences | None,
    ) -> tuple[Tensor]:
        """Return the velocity of every latent pixel, shaped as `hidden_states`.

        With kept references, the velocity is that of the pixels which are no references'.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ExactNumber:
    """A timestep or a guidance that stays float32, whatever dtype the network computes in.

    diffusers rounds both to the network's dtype before they are embedded.
    """

    number: Tensor
    """[batch]."""
    dtype: torch.dtype = torch.float32
    """Of what they are embedded to."""

    def to(self, dtype: torch.dtype) -> "ExactNumber":
        """Return it for a network that computes in this dtype."""
        return replace(self, dtype=dtype)

    def __mul__(self, factor: float) -> "ExactNumber":
        """Return the product."""
        return replace(self, number=self.number.float() * factor)


class Flux2Adapter:
    """Calls a FLUX.2 transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = 1
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the guidance and the reference latents as tensors.

        There is no guidance if a node set it to None.
        """
        del size, branch
        extras = name_references(cond.extras, ("index", "offset", "uxo/uno"))
        guidance = extras.pop("guidance", GUIDANCE)
        if guidance is not None:
            extras["guidance"] = torch.tensor([float(cast("float", guidance))])
        return replace(cond, extras=extras)

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            WrongConditioningError: text encoders of another family or size made the conditions.
            ChannelMismatchError: a reference is of another family.
        """
        model = cast("Flux2", module)
        tokens = text(cond, x, model.config.joint_attention_dim)
        placed = place(cond.extras, x, 1, step=_INDEX_STEP)
        references = _kept_references(model, x, cond, sum(map(_number, placed)))
        seen = [*placed, (x, (0, 0, 0))] if references else [(x, (0, 0, 0)), *placed]
        if references and are_full(references.layers):
            seen = seen[-1:]
        (output,) = model(
            torch.cat([latent.flatten(2).mT for latent, _ in seen], dim=1),
            tokens,
            ExactNumber(timestep),
            torch.cat([_places(latent.shape[-2:], start, x.device) for latent, start in seen]),
            _word_places(tokens.shape[1], x.device),
            _guidance(model, cond, x),
            return_dict=False,
            references=references,
        )
        return output[:, : x.shape[-2:].numel()].mT.reshape(x.shape)


def _number(placed: tuple[Tensor, Start]) -> int:
    return placed[0].shape[-2:].numel()


def _kept_references(
    model: Flux2, x: Tensor, cond: CondBatch, number: int
) -> KeptReferences | None:
    """Return the references with the run's places for them; None: they depend on the step.

    Args:
        model: that is called.
        x: the latent.
        cond: the conditions of the call.
        number: of the references' tokens.
    """
    policy = model.prefix_policy
    if policy is None or not number:
        return None
    blocks = (*model.transformer_blocks, *model.single_transformer_blocks)
    if any(getattr(each, COMPILED, False) for each in blocks):
        return KeptReferences(number, ())
    width = model.config.num_attention_heads * model.config.attention_head_dim
    sources = (ref(model), *cond.extras.values())  # weights can leave while the run goes on
    name = (x.shape, *cond.extras)
    numbers = 2 * len(x) * number * width
    return KeptReferences(number, layers_of_run(policy, len(blocks), numbers, x, name, sources))


def _guidance(model: Flux2, cond: CondBatch, x: Tensor) -> ExactNumber | None:
    """Return the guidance of a distilled model, on the device of x."""
    guidance = cond.extras.get("guidance") if model.config.guidance_embeds else None
    return None if guidance is None else ExactNumber(guidance.to(x.device))


@lru_cache(maxsize=16)
def _places(size: torch.Size, start: Start, device: torch.device) -> Tensor:
    """Return (index, row, column, 0) of every latent pixel: made once, as steps have one size."""
    index, top, left = start
    rows, columns = (
        torch.arange(first, first + side, device=device)
        for first, side in zip((top, left), size, strict=True)
    )
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    flat = torch.zeros_like(row)
    return torch.stack([flat + index, row, column, flat], dim=-1).reshape(-1, 4).float()


@lru_cache(maxsize=16)
def _word_places(length: int, device: torch.device) -> Tensor:
    """Return (0, 0, 0, place) of every token of a text."""
    places = torch.arange(length, device=device).float()
    return torch.nn.functional.pad(places[:, None], (3, 0))


class _Layers(Protocol):
    """The layers of the transformer."""

    x_embedder: Callable[..., Tensor]
    context_embedder: Callable[..., Tensor]
    pos_embed: Callable[..., tuple[Tensor, Tensor]]
    time_guidance_embed: Callable[..., Tensor]
    double_stream_modulation_img: Callable[..., Tensor]
    double_stream_modulation_txt: Callable[..., Tensor]
    single_stream_modulation: Callable[..., Tensor]
    transformer_blocks: Sequence[Callable[..., tuple[Tensor, Tensor]]]
    single_transformer_blocks: Sequence[Callable[..., Tensor]]
    norm_out: Callable[..., Tensor]
    proj_out: Callable[..., Tensor]


class _Inputs(NamedTuple):
    """The inputs of the transformer; see `Flux2`."""

    hidden: Tensor
    words: Tensor
    timestep: ExactNumber
    places: Tensor
    word_places: Tensor
    guidance: ExactNumber | None


class _Modulations:
    """The modulations of tokens: those of references are as at time 0."""

    def __init__(self, layers: _Layers, inputs: _Inputs) -> None:
        dtype, guidance = inputs.hidden.dtype, inputs.guidance
        level = inputs.timestep.to(dtype) * _TIMES
        strength = None if guidance is None else guidance.to(dtype) * _TIMES
        self.embedded = layers.time_guidance_embed(level, strength)
        self._clean = layers.time_guidance_embed(level * 0.0, strength)

    def of(self, layer: Callable[..., Tensor], *runs: tuple[int, bool]) -> Tensor:
        """Return a layer's rows for runs of tokens: their number, and True for references'."""
        pair = layer(self.embedded), layer(self._clean)
        rows = [each if each.ndim > 2 else each.unsqueeze(1) for each in pair]
        if not any(number for number, clean in runs if clean):
            return rows[0]
        return torch.cat([rows[clean].expand(-1, number, -1) for number, clean in runs], dim=1)


def _run_with_references(layers: _Layers, inputs: _Inputs, references: KeptReferences) -> Tensor:
    """Return the velocity; see `Flux2`.

    The sequence is the text, the references unless their keys and values are kept, the picture.
    """
    text, kept = inputs.words.shape[1], references.layers
    is_read = are_full(kept)
    seen = 0 if is_read else references.number
    made = inputs.hidden.shape[1] - seen
    modulations = _Modulations(layers, inputs)
    hidden, words = layers.x_embedder(inputs.hidden), layers.context_embedder(inputs.words)
    turns = layers.pos_embed(torch.cat([inputs.word_places, inputs.places]))
    pictures = modulations.of(layers.double_stream_modulation_img, (seen, True), (made, False))
    texts = modulations.of(layers.double_stream_modulation_txt, (1, False))
    how = {"kv_cache_mode": "cached" if is_read else "extract", "num_ref_tokens": seen}
    caches = iter(kept or [None] * _depth(layers))
    for block in layers.transformer_blocks:
        words, hidden = block(
            hidden_states=hidden,
            encoder_hidden_states=words,
            temb_mod_img=pictures,
            temb_mod_txt=texts,
            image_rotary_emb=turns,
            joint_attention_kwargs={**how, "kv_cache": next(caches)},
        )
    hidden = torch.cat([words, hidden], dim=1)
    runs = (text, False), (seen, True), (made, False)
    both = modulations.of(layers.single_stream_modulation, *runs)
    for block in layers.single_transformer_blocks:
        hidden = block(
            hidden_states=hidden,
            encoder_hidden_states=None,
            temb_mod=both,
            image_rotary_emb=turns,
            joint_attention_kwargs={**how, "num_txt_tokens": text, "kv_cache": next(caches)},
        )
    return layers.proj_out(layers.norm_out(hidden[:, text + seen :], modulations.embedded))


def _depth(layers: _Layers) -> int:
    return len(layers.transformer_blocks) + len(layers.single_transformer_blocks)


def _let_keep(model: Any) -> None:
    """Let a transformer keep keys and values of references, once it has a policy."""
    from diffusers.models.transformers.transformer_flux2 import (
        Flux2KVAttnProcessor,
        Flux2KVParallelSelfAttnProcessor,
    )

    model.prefix_node, model.prefix_policy = "FluxKVCache", None
    for block in model.transformer_blocks:
        block.attn.set_processor(Flux2KVAttnProcessor())
    for block in model.single_transformer_blocks:
        block.attn.set_processor(Flux2KVParallelSelfAttnProcessor())


@cache
def builder() -> Build:
    """Return the function that builds the network, whose classes are made once."""
    from diffusers.models.transformers.transformer_flux2 import (
        Flux2TimestepGuidanceEmbeddings,
        Flux2Transformer2DModel,
    )

    class Referring(Flux2Transformer2DModel):
        """Can compute references once a run, in places that a run has for them."""

        def forward(  # pyright: ignore[reportIncompatibleMethodOverride]: see `Flux2`
            self,
            *inputs: Any,
            references: KeptReferences | None = None,
            **options: Any,
        ) -> tuple[Tensor]:
            """Return the velocity; see `Flux2`."""
            if references is None:
                return cast("Any", super()).forward(*inputs, **options)
            layers = cast("_Layers", self)
            return (_run_with_references(layers, _Inputs(*inputs), references),)

    class ExactEmbeddings(Flux2TimestepGuidanceEmbeddings):
        """The sum of the embeddings of timestep and, if there is any, guidance."""

        def forward(  # pyright: ignore[reportIncompatibleMethodOverride]: of exact numbers
            self, timestep: ExactNumber, guidance: ExactNumber | None
        ) -> Tensor:
            """Return [batch, width]."""
            embedded = self._embed(self.timestep_embedder, timestep)
            if guidance is None:
                return embedded
            return embedded + self._embed(cast("nn.Module", self.guidance_embedder), guidance)

        def _embed(self, embedder: nn.Module, value: ExactNumber) -> Tensor:
            return embedder(self.time_proj(value.number).to(value.dtype))

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("Any", Referring(**config))
        model.time_guidance_embed.__class__ = ExactEmbeddings
        _let_keep(model)
        return cast("nn.Module", model)

    return build


NETWORK = NetworkClass(
    "flux2",
    "transformer",
    builder,
    adapter=Flux2Adapter(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    repeated_blocks=("Flux2TransformerBlock", "Flux2SingleTransformerBlock"),
    parts=Parts(divisible=("*.attn",)),  # as two of them are 13 % of klein 4B
)
