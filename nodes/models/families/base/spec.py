"""The records of model families: networks, text encoders, latents, noise, layouts.

Nothing here needs torch, so that a workflow can be checked without importing it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from nodes.models.families.base.licences import Release
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

Config: TypeAlias = Mapping[str, Any]
"""The keyword arguments of a diffusers or transformers model's configuration."""
Prediction: TypeAlias = Literal["eps", "v"]
EncoderName: TypeAlias = str
"""`clip_l`, `clip_h`, `clip_g`, `t5xxl`, or a language model's: see `language_models.py`."""


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """One network of a checkpoint: its class, its configuration, and its keys in the file."""

    kind: str
    """The name of its class; see `nodes.models.networks.base.builder.NetworkClass`."""
    name: str
    """Its part of the checkpoint: `model`, `vae`, or a text encoder's name, such as `clip_l`."""
    config: Config
    prefix: str
    table: Callable[[Iterable[str], str], dict[str, Source]]
    """From the network's own keys and the prefix to its key table."""
    completed: bool = False
    """True if the file lacks weights, which a patch adds."""
    optional: tuple[str, ...] = ()
    """The network's own keys of weights that the file may lack, as nothing reads them then."""
    rounds_patched: bool = False
    """True if patched weights are rounded to the file's precision.

    ComfyUI keeps text encoders in the file's precision, and so rounds the sum with a LoRA.
    """
    fits_float16: bool = False
    """True if its numbers are known to fit float16, even if others of its class do not."""


@dataclass(frozen=True, slots=True)
class TextRules:
    """The steps from a prompt to one text encoder's part of the conditioning."""

    length: int | None
    """Tokens in a chunk, start and end included; None: one chunk, as long as the prompt."""
    start: int | None
    """The start token's id; None if there is none."""
    end: int | None
    """The end token's id; None if there is none."""
    pad: int
    min_length: int = 0
    """The least length of a chunk that is as long as the prompt."""
    usual_length: int | None = None
    """The most tokens that the model was trained with, where longer prompts are not cut up."""
    min_padding: int = 0
    """The least number of padding tokens in a chunk that is as long as the prompt."""
    multiple: int = 1
    """The number whose multiples such a chunk's length is one of, padding included."""
    final_norm: bool = True
    """True if the states of the layer to read go through the final norm."""
    layers: tuple[int, ...] = (-1,)
    """The layers to read, unless the workflow sets one; their states stand side by side.

    They are counted as transformers counts hidden states: -1 is the last layer, -2 the one before
    it, and 1 is the first.
    """
    projected: bool = True
    """True if the pooled state goes through the projection, where the file has one."""
    template: str = "{}"
    """The text that is encoded, with `{}` for the prompt: a language model's chat."""
    dropped: int = 0
    """The number of tokens at the start, of a template, whose states no model reads."""
    reads_weights: bool = True
    """True if `(word:1.2)` sets a weight; False if parentheses are text like any other."""
    applies_weights: bool = True
    """False if the weights of a prompt do not change the states."""
    masks_padding: bool = False
    """True if no token attends to padding."""
    pads_left: bool = False
    """True if padding comes before the text."""
    padding_position: int | None = None
    """The position of all padding, for a language model; None: it is counted like other tokens."""
    spells_quotations: bool = False
    """True if the letters of texts between quotation marks are tokens of their own."""
    picture: int | None = None
    """The id of the token in whose place a picture's tokens are read; None: it sees none."""
    zeroes_padding: bool = False
    """True if the states of padding are zeros."""
    keeps_lines: bool = False
    """True if the ends of lines in a prompt are tokens; False if they become blanks."""
    tokenizer: str = "nodes.models.text.clip_tokenizer:clip_tokenizer"
    """The function that makes the tokenizer, as `module:attribute`; see `MakeTokenizer` in
    `nodes.models.text.chunks`."""
    vocabulary: str = ""
    """The tokenizer's `vocab.json`; empty means the one that all encoders of the kind have."""
    merges: str = ""
    """The tokenizer's `merges.txt`; empty as above."""
    vocabulary_tensor: str = ""
    """The tensor that a file has the vocabulary in, as its bytes, which Latin-1 makes a text of.

    Empty for a vocabulary that metadata has, or that ships with the package.
    """

    @property
    def lacks_vocabulary(self) -> bool:
        """True if the file should bring its vocabulary along, and does not."""
        return bool(self.vocabulary_tensor) and not self.vocabulary

    @property
    def takes_padding(self) -> bool:
        """True if a workflow may set how a prompt is padded, as T5's."""
        return self.length is None and self.end is not None


@dataclass(frozen=True, slots=True)
class HiddenStatePolicy:
    """The hidden states of a text encoder that a family reads; see `TextRules`."""

    layers: tuple[int, ...] = (-1,)
    final_norm: bool = True
    projected: bool = True
    min_length: int = 0
    usual_length: int | None = None
    min_padding: int = 0
    multiple: int = 1
    template: str = "{}"
    dropped: int = 0
    reads_weights: bool = True
    applies_weights: bool = True
    masks_padding: bool = False
    pads_left: bool = False
    padding_position: int | None = None
    spells_quotations: bool = False
    zeroes_padding: bool = False


@dataclass(frozen=True, slots=True)
class TextEncoderSet:
    """The text encoders of a family, the states it reads of each, and how it combines them."""

    name: str
    policies: Mapping[EncoderName, HiddenStatePolicy] = field(compare=False)
    """By encoder, in the family's order."""
    combine: str
    """A function of `nodes.models.text.combine`, or `module:function`: one conditioning of all."""
    loader_type: str
    """The `type` of nodes that load text encoders from files of their own."""
    files: tuple[int, ...]
    """The numbers of files that such nodes can load it from."""
    any_suffices: bool = False
    """True if any one of the encoders is enough."""
    read_tokens: Mapping[EncoderName, TextRules] = field(
        default_factory=dict[EncoderName, TextRules], compare=False
    )
    """The rules of text encoders whose tokens the model reads itself, without their networks."""


@dataclass(frozen=True, slots=True)
class LatentRules:
    """The scale and shift from the VAE's latents to a family's, and their colours in previews.

    See `nodes.sampling.conditioning.latents.LatentFormat`.
    """

    channels: int
    downscale: int
    scale: float | tuple[float, ...]
    shift: float | tuple[float, ...] = 0.0
    rgb: tuple[tuple[float, ...], ...] = ()
    """For previews: each channel's share of red, green and blue, and a last row to add."""
    tiny_vae: str = ""
    """The name of the TAESD autoencoder for these latents, as `tiny_vae.KNOWN` has it."""
    layered: bool = False
    """True if a latent has several layers; see `nodes.sampling.conditioning.latents.Latent`."""


@dataclass(frozen=True, slots=True)
class DiscreteRules:
    """Noise of a model trained on 1000 levels of noise that is added to the latent."""

    prediction: Prediction = "eps"
    zero_terminal_snr: bool = False


@dataclass(frozen=True, slots=True)
class EdmRules:
    """Noise of a model trained on any level in a range (Karras et al. 2022, arXiv:2206.00364)."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    sigma_data: float = 0.5
    """The standard deviation of the latents in training."""


@dataclass(frozen=True, slots=True)
class FlowRules:
    """Noise of a model trained on the straight line from the latent to the noise."""

    shift: float = 1.0
    multiplier: float = 1000.0
    """The timestep over the noise level."""
    mu: float | None = None
    """The logarithm of the shift, for families that state it so."""


@dataclass(frozen=True, slots=True)
class DirectRules:
    """No noise: the model turns one latent into another, and is told one of the 1000 levels."""


NoiseRules: TypeAlias = DiscreteRules | EdmRules | FlowRules | DirectRules


@dataclass(frozen=True, slots=True)
class UnclipRules:
    """The way a model reads a vision encoder's vectors of images, as unCLIP and SDXL do."""

    width: int
    """The width of such a vector."""
    pooled: bool = False
    """True if they replace the pooled text; else they are an input of their own."""
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    """The statistics that normalize them before noise is added: one number, or `width`."""
    merging: float = 0.0
    """The noise level that is added to the sum of several vectors, 0 to 1."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The denoiser of a checkpoint."""

    family: str
    network: NetworkSpec
    latent: LatentRules
    noise: NoiseRules
    unclip: UnclipRules | None = None
    """None if it reads no images."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One text encoder."""

    network: NetworkSpec
    rules: TextRules
    vision: NetworkSpec | None = None
    """The vision encoder beside it, whose pictures it can read."""
    head: NetworkSpec | None = None
    """The head of a language model that predicts words; None if its embedding does that, too."""


@dataclass(frozen=True, slots=True)
class TextSpec:
    """The text encoders of a checkpoint, and the family's set that they belong to."""

    encoders: tuple[EncoderSpec, ...]
    encoder_set: TextEncoderSet


@dataclass(frozen=True, slots=True)
class VaeSpec:
    """The autoencoder of a checkpoint."""

    network: NetworkSpec
    latent: LatentRules
    picture_channels: int = 3
    """The channels of its pictures: 4 if they have an alpha channel."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Everything about a checkpoint except its weights."""

    model: ModelSpec
    text: TextSpec | None
    vae: VaeSpec | None


@dataclass(frozen=True, slots=True)
class Part:
    """One network as the original layout has it, for reading and writing other layouts."""

    name: str
    """Its name in the metadata's overrides; a text encoder's is its `NetworkSpec.name`."""
    prefix: str
    """The prefix of its keys."""
    table: Callable[[Iterable[str], str], dict[str, Source]]
    """See `NetworkSpec`."""
    own: Callable[[str], str | None]
    """From a key of a file in diffusers' or transformers' layout to the network's own key.

    None for a key that is not a weight.
    """


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders in which diffusers has the networks of a family."""

    mark: str
    """A key of the denoiser that no other kind of network has."""
    parts: Mapping[str, Part]
    """By the names of their folders; the denoiser comes first."""

    @property
    def text(self) -> Mapping[str, Part]:
        """The text encoders among them."""
        return {key: part for key, part in self.parts.items() if key.startswith("text_encoder")}

    @property
    def modules(self) -> Mapping[str, str]:
        """The start of their keys in the denoiser, of those parts that are modules of it."""
        home, *others = ((key, part.prefix) for key, part in self.parts.items())
        start = home[1]
        return {
            key: prefix.removeprefix(start)
            for key, prefix in others
            if start and prefix.startswith(start)
        }


@dataclass(frozen=True, slots=True)
class LoraMark:
    """A mark by which a LoRA for a family is recognised."""

    names: str
    """A pattern for names of modules (a regular expression)."""
    network: str
    """The kind of the network that has them."""
    inputs: range | None = None
    """The widths of such a module's input; None: the names alone tell."""
    entry: str = ""
    """The entry of the network's configuration that equals the width, if any."""
    title: str = ""
    """The title of the models it is for; empty: the family's title."""


@dataclass(frozen=True, slots=True)
class ComfyNames:
    """A model's classes in ComfyUI, which packs for it ask for."""

    model: str = "BaseModel"
    """In `comfy.model_base`."""
    config: str = "BASE"
    """In `comfy.supported_models`."""
    image_model: str = ""
    """The name of its network, if that is no U-Net."""


def _plain_names(_spec: ModelSpec) -> ComfyNames:
    return ComfyNames()


@dataclass(frozen=True, slots=True)
class Family:
    """All that is particular to one model family."""

    name: str
    title: str
    recognises: Callable[[Header], bool]
    read: Callable[[Header], Architecture]
    """Returns the architecture of a file that the family recognises.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
        BadMetadataError: an override in the metadata has no meaning.
    """
    layouts: tuple[Layout, ...]
    """The first one is used for folders whose text encoders are those of no other."""
    encoder_sets: tuple[TextEncoderSet, ...]
    """Most families have one set of text encoders."""
    loras: tuple[LoraMark, ...] = ()
    networks: tuple[str, ...] = field(kw_only=True)
    """The `NetworkClass` of each of its denoisers, as `module:attribute`: they import torch."""
    comfy: Callable[[ModelSpec], ComfyNames] = field(default=_plain_names, kw_only=True)
    """Returns the names of one of its models in ComfyUI; by default those of no family."""
    releases: tuple[Release, ...] = field(default=(), kw_only=True)
    """The models of the family that were published, with their licences."""
