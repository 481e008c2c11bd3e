"""A workflow made of the settings of AUTOMATIC1111's web UI, as ComfyUI's editor makes it.

The nodes and their ids are the editor's, which knows fewer samplers and leaves out the VAE. The
second pass has the first one's seed, as in the web UI.
"""

import re
from collections.abc import Mapping
from typing import Final

from nodegraph.errors import MendedFile, NodeGraphError, short_repr
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.workflow.infotext import Infotext
from nodegraph.workflow.infotext_samplers import (
    AUTOMATIC,
    ONLY_ALIKE,
    SCHEDULERS,
    sampler_name,
    split_sampler,
)

_CHECKPOINT, _CLIP, _POSITIVE, _NEGATIVE, _SAMPLER, _LATENT, _DECODE, _SAVE = map(str, range(1, 9))
_FIRST_FREE: Final = 9
_ABOUT: Final = (
    "the file carries no workflow, but A1111's parameters: a workflow was made of them. Its images"
    " are like the file's, not the same."
)
_UPSCALERS: Final[Mapping[str, str]] = {
    "R-ESRGAN 4x+": "RealESRGAN_x4plus",
    "R-ESRGAN 4x+ Anime6B": "RealESRGAN_x4plus_anime_6B",
}
"""Upscalers whose files are not named as they are."""
_RESIZERS: Final[Mapping[str, str]] = {
    "None": "lanczos",
    "Lanczos": "lanczos",
    "Nearest": "nearest-exact",
}
"""Upscalers that are no models."""
_LATENT_METHODS: Final = (("nearest", "nearest-exact"), ("bicubic", "bicubic"))
_NO_VAE: Final = ("", "Automatic", "None")
_READ: Final = frozenset(
    (
        *("Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Clip skip"),
        *("Model", "VAE", "TI hashes", "Distilled CFG Scale", "Denoising strength"),
        *("Hires upscale", "Hires resize", "Hires steps", "Hires upscaler"),
        *("Hires sampler", "Hires schedule type", "Hires CFG Scale"),
    )
)
_MEANINGLESS: Final = frozenset(
    (
        *("Model hash", "VAE hash", "Lora hashes", "Hashes", "Version", "Created Date", "User"),
        *("Civitai resources", "Civitai metadata"),
    )
)
"""Settings that change nothing, or say the same again."""
_SYNTAX = re.compile(r"(?<!\\)\[[^\[\]]*\]|\bBREAK\b|\bAND\b")
"""Parts of prompts that only the web UI understands: weaker words, choices by step, parts."""
_SIZE = re.compile(r"(\d{1,5}) *x *(\d{1,5})")
_WHOLE = re.compile(r"\d{1,19}")
_NUMBER = re.compile(r"\d{1,9}\.\d{1,9}")
_DEFAULT_SIZE: Final = (512, 512)
_PIXELS: Final = 8
_LARGEST_SCALE: Final = 16
_MOST_SHOWN: Final = 8
_MOST_EMBEDDINGS: Final = 50


def graph_of(info: Infotext) -> Graph:
    """Return the workflow; its remarks tell what it does not have of the text."""
    return _Builder(info).graph()


class _Builder:
    """Makes the nodes, and the remarks on what is not carried."""

    def __init__(self, info: Infotext) -> None:
        self._info = info
        self._settings = info.settings
        self._nodes: dict[str, Node] = {}
        self._remarks: list[NodeGraphError] = []
        self._added = _FIRST_FREE
        self._model = Link(_CHECKPOINT, 0)
        self._clip = self._negative_clip = Link(_CLIP, 0)
        self._vae = Link(_CHECKPOINT, 2)

    def graph(self) -> Graph:
        """Return the workflow."""
        self._remark(_ABOUT)
        self._check_rest()
        self._load()
        self._encode()
        sampled = self._sample()
        self._put(_DECODE, "VAEDecode", samples=sampled, vae=self._vae)
        self._put(_SAVE, "SaveImage", filename_prefix="ComfyUI", images=Link(_DECODE, 0))
        nodes = {key: self._nodes[key] for key in sorted(self._nodes, key=int)}
        return Graph(nodes, remarks=tuple(self._remarks))

    def _load(self) -> None:
        """Add the loaders of the checkpoint, the LoRAs and the VAE."""
        model = self._settings.get("Model")
        if model:
            self._put(_CHECKPOINT, "CheckpointLoaderSimple", ckpt_name=model)
        else:
            self._put(_CHECKPOINT, "CheckpointLoaderSimple")
            self._remark("it names no model: add one with --set 1.ckpt_name=FILE.")
        skip = self._whole("Clip skip", 1)
        self._put(
            _CLIP, "CLIPSetLastLayer", stop_at_clip_layer=-max(skip, 1), clip=Link(_CHECKPOINT, 1)
        )
        for use in self._info.loras:
            key = self._add(
                "LoraLoader",
                lora_name=use.name,
                strength_model=use.model_strength,
                strength_clip=use.clip_strength,
                model=self._model,
                clip=self._negative_clip,
            )
            self._model, self._negative_clip = Link(key, 0), Link(key, 1)
            if not use.is_in_negative:
                self._clip = Link(key, 1)
        vae = self._settings.get("VAE", "Automatic")
        if vae not in _NO_VAE:
            self._vae = Link(self._add("VAELoader", vae_name=vae), 0)

    def _encode(self) -> None:
        """Add the prompts."""
        positive = (_POSITIVE, self._info.prompt, self._clip)
        negative = (_NEGATIVE, self._info.negative, self._negative_clip)
        for key, prompt, clip in (positive, negative):
            text = _with_embeddings(prompt, self._settings.get("TI hashes", ""))
            self._put(key, "CLIPTextEncode", text=text, clip=clip)
            found = list(dict.fromkeys(item[0] for item in _SYNTAX.finditer(prompt)))
            if found:
                shown = ", ".join(short_repr(item) for item in found[:3])
                self._remark(f"{shown} in the prompt means nothing to ComfyUI's text encoders.")

    def _sample(self) -> Link:
        """Add the passes of the sampler; return the last latent."""
        width, height = self._size("Size") or _DEFAULT_SIZE
        self._put(_LATENT, "EmptyLatentImage", width=width, height=height, batch_size=1)
        sampler = self._sampler("Sampler", "Schedule type")
        positive = Link(_POSITIVE, 0)
        if "Distilled CFG Scale" in self._settings:
            guidance = self._number("Distilled CFG Scale", 3.5)
            positive = Link(self._add("FluxGuidance", guidance=guidance, conditioning=positive), 0)
        shared = {"model": self._model, "positive": positive, "negative": Link(_NEGATIVE, 0)}
        first = {
            "seed": self._whole("Seed", 0),
            "steps": self._whole("Steps", 20),
            "cfg": self._number("CFG scale", 7),
            **sampler,
            "denoise": 1,
        }
        self._put(_SAMPLER, "KSampler", **first, **shared, latent_image=Link(_LATENT, 0))
        larger = self._larger_size(width, height)
        if larger is None:
            if "Denoising strength" in self._settings:
                self._remark("it was made from another image, which is not in it.")
            return Link(_SAMPLER, 0)
        latent = self._enlarge(*larger)
        again = {
            "steps": self._whole("Hires steps", 0) or first["steps"],
            "cfg": self._number("Hires CFG Scale", 0) or first["cfg"],
            "denoise": self._number("Denoising strength", 0.7),
        }
        if "Hires sampler" in self._settings or "Hires schedule type" in self._settings:
            again |= self._sampler("Hires sampler", "Hires schedule type")
        return Link(self._add("KSampler", **{**first, **again}, **shared, latent_image=latent), 0)

    def _larger_size(self, width: int, height: int) -> tuple[int, int] | None:
        """Return the size of the second pass; None if there is none."""
        size = self._size("Hires resize")
        if size and all(size):
            return size
        scale = self._number("Hires upscale", 0)
        if not 0 < scale <= _LARGEST_SCALE:
            return None
        return int(width * scale) // _PIXELS * _PIXELS, int(height * scale) // _PIXELS * _PIXELS

    def _enlarge(self, width: int, height: int) -> Link:
        """Add what enlarges the first pass's latent; return the larger one."""
        name = self._settings.get("Hires upscaler", "Latent")
        size = {"width": width, "height": height, "crop": "disabled"}
        latent = Link(_SAMPLER, 0)
        if name.startswith("Latent"):
            method = next((way for word, way in _LATENT_METHODS if word in name), "bilinear")
            key = self._add("LatentUpscale", samples=latent, upscale_method=method, **size)
            return Link(key, 0)
        tiles = {"tile_size": 512, "overlap": 64, "temporal_size": 64, "temporal_overlap": 8}
        image = Link(self._add("VAEDecodeTiled", samples=latent, vae=self._vae, **tiles), 0)
        method = _RESIZERS.get(name, "lanczos")
        if name not in _RESIZERS:
            file = _UPSCALERS.get(name, name)
            model = Link(self._add("UpscaleModelLoader", model_name=file), 0)
            image = Link(self._add("ImageUpscaleWithModel", upscale_model=model, image=image), 0)
        image = Link(self._add("ImageScale", image=image, upscale_method=method, **size), 0)
        return Link(self._add("VAEEncodeTiled", pixels=image, vae=self._vae, **tiles), 0)

    def _sampler(self, sampler: str, schedule: str) -> dict[str, str]:
        """Return the sampler and the scheduler that two settings name."""
        given = self._settings.get(sampler, self._settings.get("Sampler", "Euler"))
        name, scheduler = split_sampler(given)
        kind = self._settings.get(schedule, "").lower()
        if kind == "automatic":
            scheduler = AUTOMATIC.get(name, "normal")
        elif kind:
            scheduler = SCHEDULERS.get(kind, "")
        if not scheduler:
            self._remark(f"the schedule type {short_repr(kind)} is read as 'normal'.")
        if name in ONLY_ALIKE:
            self._remark(f"the sampler {short_repr(given)} is read as {sampler_name(name)!r}.")
        return {"sampler_name": sampler_name(name), "scheduler": scheduler or "normal"}

    def _check_rest(self) -> None:
        """Tell the parts that are not carried."""
        rest = [*self._info.unread]
        rest += [key for key in self._settings if key not in _READ and key not in _MEANINGLESS]
        if rest:
            shown = ", ".join(short_repr(item) for item in rest[:_MOST_SHOWN])
            more = ", …" if len(rest) > _MOST_SHOWN else ""
            self._remark(f"not carried over: {shown}{more}.")

    def _size(self, key: str) -> tuple[int, int] | None:
        found = _SIZE.fullmatch(self._settings.get(key, ""))
        return (int(found[1]), int(found[2])) if found else None

    def _whole(self, key: str, default: int) -> int:
        text = self._settings.get(key, "")
        return int(text) if _WHOLE.fullmatch(text) else default

    def _number(self, key: str, default: float) -> float:
        text = self._settings.get(key, "")
        if _WHOLE.fullmatch(text):
            return int(text)
        return float(text) if _NUMBER.fullmatch(text) else default

    def _add(self, type_name: str, **inputs: object) -> str:
        """Add a node with the next free id, and return the id."""
        key = str(self._added)
        self._added += 1
        self._put(key, type_name, **inputs)
        return key

    def _put(self, key: str, type_name: str, **inputs: object) -> None:
        self._nodes[key] = Node(key, type_name, inputs)

    def _remark(self, message: str) -> None:
        self._remarks.append(MendedFile(message))


def _with_embeddings(prompt: str, hashes: str) -> str:
    """Put `embedding:` before the names of embeddings, which a setting lists as `name: hash`."""
    for item in hashes.split(",")[:_MOST_EMBEDDINGS]:
        name = item.partition(":")[0].strip()
        if name:
            word = re.compile(rf"(?<![\w:-]){re.escape(name)}(?![\w-])")
            prompt = word.sub(lambda found: f"embedding:{found[0]}", prompt)
    return prompt
