"""A model family from outside: what another distribution writes to add one."""

from collections.abc import Iterable
from dataclasses import replace

from nodes.models.families.base.encoder_keys import clip_table, own_clip_key
from nodes.models.families.base.ldm_keys import own_key
from nodes.models.families.base.spec import (
    Architecture,
    DiscreteRules,
    Family,
    HiddenStatePolicy,
    LatentRules,
    Layout,
    LoraMark,
    ModelSpec,
    NetworkSpec,
    Part,
    TextEncoderSet,
)
from nodes.models.families.base.text_encoders import read_text
from nodes.models.families.base.vaes.vae import PART as VAE
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

KIND = "toy_net"
PREFIX = "model.diffusion_model."
TEXT = "cond_stage_model.transformer."
STYLE = TextEncoderSet(
    "toy", {"clip_l": HiddenStatePolicy()}, "single", loader_type="wan", files=(1,)
)
"""Its loader type is one of ComfyUI's, which nodes list without it, too."""


def table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """The file says `toy_` where the network says nothing."""
    return {key: Source(f"{prefix}toy_{key}") for key in keys}


def recognises(header: Header) -> bool:
    return f"{PREFIX}toy_reads.weight" in header


def read(header: Header) -> Architecture:
    width, text = header.shape(f"{PREFIX}toy_reads.weight")
    config = {"in_channels": header.shape(f"{PREFIX}toy_inlet.weight")[1]}
    network = NetworkSpec(KIND, "model", {**config, "width": width, "text": text}, PREFIX, table)
    latent = LatentRules(config["in_channels"], 8, 0.18215)
    model = ModelSpec("toy", network, latent, DiscreteRules())
    return Architecture(model, read_text(header, STYLE, {"clip_l": TEXT}), read_vae(header, latent))


LAYOUT = Layout(
    "reads.weight",
    {
        "transformer": Part(KIND, PREFIX, table, own_key),
        "text_encoder": Part("clip_l", TEXT, clip_table, own_clip_key),
        "vae": VAE,
    },
)
TOY = Family(
    "toy",
    "Toy",
    recognises,
    read,
    (LAYOUT,),
    (STYLE, replace(STYLE, loader_type="toy")),
    (LoraMark("toy_(reads|inlet)", KIND),),
    networks=(f"{__name__.replace('toy_family', 'toy_network')}:NETWORK",),
)
