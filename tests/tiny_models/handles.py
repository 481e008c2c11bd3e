"""Handles on test checkpoints."""

from dataclasses import dataclass
from pathlib import Path

from nodegraph.runtime.model_pool import ModelPool
from nodes.models.loading.checkpoint import Checkpoint, open_checkpoint, open_model, open_vae
from nodes.models.loading.forward import ModelDenoiser
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.loading.text_files import open_text_files
from tests.tiny_models.checkpoints import tiny


@dataclass(frozen=True, slots=True)
class Parts:
    """What a family's loaders give."""

    model: ModelHandle
    clip: ClipHandle
    vae: VaeHandle


def in_run(model: ModelHandle) -> ModelDenoiser:
    """The model in a run that nobody cancels."""
    return ModelDenoiser(model, lambda: None)


def tiny_parts(name: str) -> Parts:
    """One of those of the reference numbers; FLUX's parts are in files of their own."""
    if name.startswith("flux"):
        return _flux_parts(name)
    found = opened(tiny(f"checkpoints/tiny_{name}.safetensors"))
    return Parts(ModelHandle(found.model), ClipHandle(found.text), VaeHandle(found.vae))


def _flux_parts(name: str) -> Parts:
    model = tiny(f"diffusion_models/tiny_{name}.safetensors")
    texts = [tiny(f"text_encoders/tiny_{each}.safetensors") for each in ("clip_l", "t5xxl")]
    vae = tiny("vae/tiny_ae16.safetensors")
    return Parts(
        ModelHandle(open_model(model, str(model), ModelPool())),
        ClipHandle(open_text_files([(path, str(path)) for path in texts], "flux", ModelPool())),
        VaeHandle(open_vae(vae, str(vae), ModelPool())),
    )


def opened(path: Path) -> Checkpoint:
    """A checkpoint by its path; tests need no hashes."""
    return open_checkpoint(path, str(path), ModelPool())
