"""Calls of full-size networks of the newer families: a step of a picture, a text, a few words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from nodes.builtin.conditioning.flux import flux_kv_cache, reference_latent
from nodes.builtin.sampling.ksampler import ksampler
from nodes.inference.text_generation import Writer
from nodes.models.adapters.controlnet import NetControl
from nodes.models.adapters.style import SteeringPatch, open_model_patch
from nodes.models.families.base.language_models import language_model_of
from nodes.models.loading.checkpoint import open_model
from nodes.models.loading.handles import ModelHandle
from nodes.models.loading.text_files import open_text_files
from nodes.models.networks.base.control_hint import ControlHint
from nodes.models.networks.base.reference_latents import METHOD
from nodes.models.text.chunks import Token
from nodes.models.text.word_choice import Likeliest
from nodes.values import Cond, Conditioning, Latent
from tests.full_size.models import write_model
from tests.nodes.bench import Bench
from tests.tiny_models.sentencepiece_models import sentencepiece_model
from tests.tiny_models.tekken import tekken_json

BOTH = ("BF16", "F8_E4M3")
_PIXELS = 1024
_TEXT = 512
"""The tokens of a text."""


class Call(Protocol):
    """A call of a network."""

    @property
    def title(self) -> str:
        """The network, and what it is asked."""
        ...

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Those that its matrices are measured in."""
        ...

    def make(self, dtype: str, bench: Bench) -> None:
        """Make it with the models of a context."""
        ...


def _file(name: str, dtype: str, bench: Bench, parts: int | None = 1) -> Path:
    return write_model(bench.root / f"{name}_{dtype}.safetensors", name, dtype, parts)


@dataclass(frozen=True)
class Sampling:
    """Steps of a picture, without a negative prompt."""

    title: str
    model: str
    tokens: tuple[int, int]
    """The number and the width of the text's."""
    pixels: int = _PIXELS
    layers: int = 0
    """Of the latent; 0: it has no axis for them."""
    references: int = 0
    """Pictures of the same size that are read besides."""
    read: Mapping[str, object] = field(default_factory=dict[str, object])
    """What the text brings along besides."""
    change: Callable[[ModelHandle, str, Bench], ModelHandle] = lambda model, *_: model
    steps: int = 1
    dtypes: tuple[str, ...] = BOTH

    def make(self, dtype: str, bench: Bench) -> None:
        """See `Call`."""
        path = _file(self.model, dtype, bench)
        model = self.change(ModelHandle(open_model(path, str(path), bench.models)), dtype, bench)
        side = self.pixels // model.latent_format.downscale
        shape = 1, model.latent_format.channels, side, side
        text = Conditioning((Cond(torch.zeros(1, *self.tokens), None, extras=dict(self.read)),))
        for _ in range(self.references):
            text = reference_latent(text, Latent(torch.zeros(shape)))
        layered = (*shape[:2], self.layers, *shape[2:]) if self.layers else shape
        ksampler(
            model=model, seed=1, steps=self.steps, cfg=1.0, sampler_name="euler",
            scheduler="simple",
            positive=text, negative=text, latent_image=Latent(torch.zeros(layered)), denoise=1.0,
            ctx=bench,
        )  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """A text that is encoded."""

    title: str
    model: str
    family: str
    """The type of `CLIPLoader`."""
    tokens: int = _TEXT
    dtypes: tuple[str, ...] = BOTH
    tokenizer: tuple[str, Callable[[], bytes]] | None = None
    """The name and the content of the file beside the weights that has it, if one has to."""

    def make(self, dtype: str, bench: Bench) -> None:
        """See `Call`."""
        path = _file(self.model, dtype, bench)
        if self.tokenizer:
            name, content = self.tokenizer
            (path.parent / name).write_bytes(content())
        (encoder,) = open_text_files([(path, str(path))], self.family, bench.models).encoders
        encoder.encode([[[Token(0)] * self.tokens]], (), None)


@dataclass(frozen=True)
class Writing:
    """Words that are written after a prompt."""

    title: str
    model: str
    family: str
    tokens: int = _TEXT
    dtypes: tuple[str, ...] = BOTH

    def make(self, dtype: str, bench: Bench) -> None:
        """See `Call`."""
        path = _file(self.model, dtype, bench, parts=None)
        (encoder,) = open_text_files([(path, str(path))], self.family, bench.models).encoders
        record = language_model_of(encoder.name)
        assert record
        prompt = [Token(0)] * self.tokens
        list(Writer(encoder, record).tokens(prompt, Likeliest(), 2))


def _cached(model: ModelHandle, _dtype: str, _bench: Bench) -> ModelHandle:
    return flux_kv_cache(model)


@dataclass(frozen=True)
class _Encoder:
    """Stands for the encoder of a VAE, which is done before the first step."""

    channels: int = 16

    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        return torch.zeros(1, self.channels, *(side // 8 for side in picture.shape[-2:]))


def _steered(model: ModelHandle, dtype: str, bench: Bench) -> ModelHandle:
    path = _file("qwen_image_blockwise", dtype, bench)
    control = open_model_patch(path, str(path), bench.models).control
    assert control
    hint = ControlHint(torch.zeros(1, 3, _PIXELS, _PIXELS), _Encoder())
    return ModelHandle(model.model, injections=(SteeringPatch(NetControl(control, hint)),))


_T5 = {"t5xxl_ids": torch.zeros(1, 96).long(), "t5xxl_weights": torch.ones(1, 96)}
_AT_ZERO = {METHOD: "index_timestep_zero"}
_QWEN = (128, 3584)
_SEEING_ONE, _SEEING_THREE = (1500, 3584), (760, 3584)
"""A text with a picture of a million pixels as tokens; with three of 384 pixels a side."""

CALLS: tuple[Call, ...] = (
    Sampling("FLUX.2 klein 4B", "flux2_klein_4b", (_TEXT, 7680)),
    Sampling("FLUX.2 klein 9B", "flux2_klein_9b", (_TEXT, 12288)),
    Sampling(
        "FLUX.2 klein 9B-KV, 1 reference, FluxKVCache", "flux2_klein_9b", (_TEXT, 12288),
        references=1, change=_cached, steps=2,
    ),
    Sampling("FLUX.2 dev", "flux2_dev", (_TEXT, 15360)),
    Reading("Qwen3 4B (klein 4B, Z-Image)", "qwen3_4b", "flux2"),
    Reading("Qwen3 8B (klein 9B)", "qwen3_8b", "flux2"),
    Reading(
        "Mistral Small 3 (FLUX.2 dev)", "mistral3_24b", "flux2",
        tokenizer=("tekken.json", tekken_json),
    ),
    Sampling("Z-Image", "z_image", (128, 2560)),
    Sampling("Qwen-Image", "qwen_image", _QWEN),
    Sampling("Qwen-Image-Edit, 1 reference", "qwen_image", _SEEING_ONE, references=1),
    Sampling("Qwen-Image-Edit 2509, 3 references", "qwen_image", _SEEING_THREE, references=3),
    Sampling(
        "Qwen-Image-Edit 2511, 3 references", "qwen_image", _SEEING_THREE, references=3,
        read=_AT_ZERO,
    ),
    Sampling(
        "Qwen-Image-Layered, 640 pixels, 4 layers", "qwen_image_layered", _QWEN, pixels=640,
        layers=5, references=1,
    ),
    Sampling("Qwen-Image, blockwise ControlNet", "qwen_image", _QWEN, change=_steered),
    Reading("Qwen2.5-VL 7B (Qwen-Image, LongCat)", "qwen2_5_vl_7b", "qwen_image"),
    Sampling("Anima", "anima", (128, 1024), read=_T5),
    Reading("Qwen3 0.6B (Anima)", "qwen3_06b", "stable_diffusion"),
    Sampling("Qwen-Image 2.1", "qwen_image21", (128, 4096)),
    Sampling("Qwen-Image 2.1, 1 reference", "qwen_image21", (1500, 4096), references=1),
    Reading("Qwen3-VL 8B (Qwen-Image 2.1)", "qwen3_vl_8b", "qwen_image"),
    Sampling("FLUX.3 Image Klein", "flux3", (160, 20480)),
    Reading("Qwen3-VL 4B (FLUX.3, Krea 2)", "qwen3_vl_4b", "krea2"),
    Sampling("Lumina 2", "lumina2", (256, 2304)),
    Reading(
        "Gemma 2 2B (Lumina 2)", "gemma2_2b", "lumina2", tokens=256,
        tokenizer=("tokenizer.model", sentencepiece_model),
    ),
    Sampling("Krea 2", "krea2", (128, 12 * 2560)),
    Writing("Qwen3.5 9B, a text after 512 tokens", "qwen3_5_9b", "flux2"),
    Sampling("Lotus", "lotus", (2, 1024), dtypes=("F16",)),
    Sampling("Chroma", "chroma", (128, 4096)),
    Reading("T5 XXL (Chroma)", "t5xxl", "chroma"),
    Sampling("LongCat-Image", "longcat_image", (_TEXT, 3584)),
)  # fmt: skip
"""The calls of the page."""
