"""A batch whose images each have their own prompt, negative prompt, guidance and seed."""

from dataclasses import replace
from typing import Annotated, NamedTuple

from nodegraph.define import node
from nodegraph.markers import Name
from nodes.guided import Guider
from nodes.inputs import Cfg, Seed
from nodes.sampling_errors import MixedModelsError, UnmatchedBatchError
from nodes.values import Conditioning, Noise
from nodes.weights.handle import ModelHandle

_NOTHING = Conditioning(())


class Batch(NamedTuple):
    """The outputs of `BatchPrompt`: guider and noise for all images so far."""

    GUIDER: Guider
    NOISE: Noise
    batch_size: Annotated[int, Name("batch_size")]


@node(
    "BatchPrompt", category="sampling/custom_sampling/guiders", display_name="Add Prompt to Batch"
)
def batch_prompt(
    *,
    model: ModelHandle,
    positive: Conditioning,
    negative: Conditioning,
    cfg: Cfg = 8.0,
    seed: Seed = 0,
    guider: Guider | None = None,
    noise: Noise | None = None,
) -> Batch:
    """Add an image with its own prompts, guidance and seed to a batch for SamplerCustomAdvanced.

    Chain one for each image by `guider` and `noise`; `batch_size` is for the empty latent. Every
    image comes out as it would alone, noise on the way included (not with dpm_adaptive, whose
    steps depend on the whole batch).
    """
    before = guider or Guider(model, _NOTHING, _NOTHING, ())
    seeds = noise.seeds if noise else ()
    cfgs = before.cfg if isinstance(before.cfg, tuple) else (before.cfg,)
    if len(cfgs) != len(seeds):
        raise UnmatchedBatchError(len(cfgs), len(seeds))
    if before.model != model:
        raise MixedModelsError
    own = len(seeds)
    guided = Guider(
        model,
        _append(before.positive, positive, own),
        _append(before.negative, negative, own),
        (*cfgs, cfg),
    )
    return Batch(guided, replace(noise or Noise(()), seeds=(*seeds, seed)), own + 1)


def _append(before: Conditioning, more: Conditioning, own: int) -> Conditioning:
    """Append one image's conditions to those of the images so far; a guider's own come first."""
    first = (cond if cond.sample is not None else replace(cond, sample=0) for cond in before.conds)
    return Conditioning((*first, *(replace(cond, sample=own) for cond in more.conds)))
