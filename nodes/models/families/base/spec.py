"""What a family file says: how to recognise its checkpoints, and how to read their config.

Nothing here needs torch, so that a workflow can be checked without loading it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

Config: TypeAlias = Mapping[str, Any]
"""The keyword arguments of a diffusers or transformers model's configuration."""
Prediction: TypeAlias = Literal["eps", "v"]
EncoderName: TypeAlias = Literal["clip_l", "clip_h", "clip_g", "t5xxl"]


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """One network of a checkpoint: which class, its configuration, where its weights are."""

    kind: str
    """The name of its class; see `nodes.models.networks.base.builder.NetworkClass`."""
    name: str
    """Its part in the whole: `model`, `vae`, or which text encoder it is: `clip_l`, …"""
    config: Config
    prefix: str
    table: Callable[[Iterable[str], str], dict[str, Source]]
    """From the network's own keys and the prefix to the sources of its weights."""
    completed: bool = False
    """Whether the file lacks weights, which a patch brings."""
    rounds_patched: bool = False
    """Whether patched weights are rounded to the file's precision.

    ComfyUI keeps text encoders as they are stored, so that a LoRA's sum is rounded there.
    """


@dataclass(frozen=True, slots=True)
class TextRules:
    """How a family turns a text encoder's hidden states into conditioning."""

    length: int | None
    """Tokens in a section, start and end included; None: one section, as long as the prompt."""
    start: int | None
    """None if there is no such token."""
    end: int
    pad: int
    least: int = 0
    """A section as long as the prompt is padded to this."""
    padding: int = 0
    """A section as long as the prompt has at least so many padding tokens."""
    final_norm: bool = True
    """Whether the layer that counts is normed as the last one is."""
    layer: int = -1
    """The layer that counts unless the workflow says otherwise; -1 is the last."""
    projected: bool = True
    """Whether the pooled state goes through the projection, if the file has one."""
    tokenizer: Literal["bpe", "unigram"] = "bpe"
    """CLIP's byte pairs (arXiv:1508.07909), or T5's SentencePiece (arXiv:1804.10959)."""
    vocabulary: str = ""
    """The tokenizer's `vocab.json`; empty means the one that all encoders of the kind have."""
    merges: str = ""
    """The tokenizer's `merges.txt`; empty as above."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a family reads of a text encoder; see `TextRules`."""

    layer: int = -1
    final_norm: bool = True
    projected: bool = True
    least: int = 0


@dataclass(frozen=True, slots=True)
class TextStyle:
    """Which text encoders a family has, what it reads of each, and what it makes of them."""

    name: str
    readings: Mapping[EncoderName, Reading] = field(compare=False)
    """By encoder, in the family's order."""
    combine: str
    """A function of `nodes.models.text.combine`, or `module:function`: one conditioning of all."""
    loader_type: str
    """The `type` of nodes that load text encoders from files of their own."""
    files: tuple[int, ...]
    """With how many files such nodes can be given."""
    any_suffices: bool = False
    """Whether it can do without any of them that the file lacks, if it has another one."""


@dataclass(frozen=True, slots=True)
class LatentRules:
    """How a family's latents relate to its VAE's; see `nodes.sampling.conditioning.latents.LatentFormat`."""

    channels: int
    downscale: int
    scale: float | tuple[float, ...]
    shift: float | tuple[float, ...] = 0.0
    rgb: tuple[tuple[float, ...], ...] = ()
    """For previews: what each channel adds to red, green and blue, and a row to add to that."""
    tiny_vae: str = ""
    """The TAESD autoencoder for these latents, by its name in `tiny_vae` beside this file."""


@dataclass(frozen=True, slots=True)
class DiscreteRules:
    """Trained on 1000 levels of noise that is added to the latent."""

    prediction: Prediction = "eps"
    zero_terminal_snr: bool = False


@dataclass(frozen=True, slots=True)
class EdmRules:
    """Trained on any level of noise in a range (Karras et al. 2022, arXiv:2206.00364)."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    sigma_data: float = 0.5
    """The standard deviation that the latents were brought to."""


@dataclass(frozen=True, slots=True)
class FlowRules:
    """Trained on the straight line from the latent to the noise."""

    shift: float = 1.0
    multiplier: float = 1000.0
    """What the network is told is the noise level times this."""
    mu: float | None = None
    """The logarithm of the shift, where the family gives that."""


NoiseRules: TypeAlias = DiscreteRules | EdmRules | FlowRules


@dataclass(frozen=True, slots=True)
class PictureRules:
    """How a model reads the vectors that a vision encoder makes of pictures."""

    width: int
    """Of such a vector."""
    pooled: bool = False
    """Whether they stand in for the prompt as one vector; else they have a place of their own."""
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    """What brings them to the spread of the noise that is added to them; one or `width`."""
    merging: float = 0.0
    """How much noise is added to the sum of several, 0 to 1."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The part of a checkpoint that denoises."""

    family: str
    network: NetworkSpec
    latent: LatentRules
    noise: NoiseRules
    pictures: PictureRules | None = None
    """None if it reads none."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One text encoder."""

    network: NetworkSpec
    rules: TextRules


@dataclass(frozen=True, slots=True)
class TextSpec:
    """The text encoders of a checkpoint, and how they work together."""

    encoders: tuple[EncoderSpec, ...]
    style: TextStyle


@dataclass(frozen=True, slots=True)
class VaeSpec:
    """The autoencoder of a checkpoint."""

    network: NetworkSpec
    latent: LatentRules


@dataclass(frozen=True, slots=True)
class Architecture:
    """Everything about one checkpoint but its weights."""

    model: ModelSpec
    text: TextSpec | None
    vae: VaeSpec | None


@dataclass(frozen=True, slots=True)
class Part:
    """One network as the original layout has it, for reading and writing other layouts."""

    name: str
    """As overrides in the metadata call it; a text encoder's is its `NetworkSpec.name`."""
    prefix: str
    """What stands before its keys."""
    table: Callable[[Iterable[str], str], dict[str, Source]]
    """See `NetworkSpec`."""
    own: Callable[[str], str | None]
    """From a key of a file in diffusers' or transformers' layout to the network's own key.

    None for what no network has.
    """


@dataclass(frozen=True, slots=True)
class Layout:
    """How diffusers has the networks of a family."""

    mark: str
    """A key of the part that denoises, which no other kind of network has."""
    parts: Mapping[str, Part]
    """By the names of their folders; that which denoises comes first."""

    @property
    def text(self) -> Mapping[str, Part]:
        """The text encoders among them."""
        return {key: part for key, part in self.parts.items() if key.startswith("text_encoder")}


@dataclass(frozen=True, slots=True)
class LoraMark:
    """A mark by which a LoRA for a family is known."""

    names: str
    """A pattern for names of modules."""
    network: str
    """The kind of the network that has them."""
    inputs: range | None = None
    """How many numbers such a module reads; None: the names alone tell."""
    entry: str = ""
    """The entry of the network's configuration that has the same number, if any."""
    title: str = ""
    """What people call the models it is for; empty: the family's title."""


@dataclass(frozen=True, slots=True)
class Family:
    """All that is particular to one model family, as its file says it."""

    name: str
    title: str
    recognises: Callable[[Header], bool]
    read: Callable[[Header], Architecture]
    """The architecture of a file that the family recognises.

    Raises:
        MissingWeightsError: a tensor that says something about it is not there.
        BadMetadataError: an override in the metadata has no meaning.
    """
    layouts: tuple[Layout, ...]
    """The one whose text encoders a folder has counts, else the first."""
    styles: tuple[TextStyle, ...]
    """Most families have one."""
    loras: tuple[LoraMark, ...] = ()
    networks: tuple[str, ...] = ()
    """`module:attribute` of network classes that `nodes.models.networks.factory` does not list."""
