"""The functions of `comfy.samplers` that predict and guide, for packs' guiders and guidance."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from nodes.comfy.values.models import rule_arguments
from nodes.comfy.values.patches.options import INSIDE
from nodes.comfy.values.patches.wrappers import WrappersMP, with_wrappers
from nodes.comfy.values.sampling.live_model import Entries, LiveModel
from nodes.sampling.guidance.rules import GuidanceInputs

_ALWAYS = "disable_cfg1_optimization"


def sampling_function(
    model: LiveModel,
    x: Tensor,
    timestep: Tensor,
    uncond: Entries | None,
    cond: Entries | None,
    cond_scale: float,
    model_options: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Tensor:
    """Return the guided x0, [batch, channels, h, w].

    Args:
        model: `guider.inner_model`.
        x: [batch, channels, h, w] in the model's space.
        timestep: sigma, [batch].
        uncond: the negative conditions.
        cond: the positive ones.
        cond_scale: the cfg; at 1 the negative ones are not asked for.
        model_options: with the functions that change, combine and correct predictions.
        seed: of the run.
    """
    del seed
    options = model_options or {}
    plain = abs(float(cond_scale) - 1.0) < 1e-9 and not options.get(_ALWAYS)
    asked = [cond, None if plain and not _always(model) else uncond]
    predictions = calc_cond_batch(model, asked, x, timestep, options)
    for prepare in options.get("sampler_pre_cfg_function", ()):
        arguments = {
            "conds": asked,
            "conds_out": predictions,
            "cond_scale": cond_scale,
            "timestep": timestep,
            "sigma": timestep,
            "input": x,
            "model": model,
            "model_options": options,
        }
        predictions = prepare(arguments)
    return cfg_function(
        model,
        predictions[0],
        predictions[1],
        cond_scale,
        x,
        timestep,
        model_options=options,
        cond=asked[0],
        uncond=asked[1],
    )


def calc_cond_batch(
    model: LiveModel,
    conds: Sequence[Entries | None],
    x_in: Tensor,
    timestep: Tensor,
    model_options: Mapping[str, Any] | None = None,
) -> list[Tensor]:
    """Return the x0 that the model predicts for each list of conditions.

    Args:
        model: `guider.inner_model`.
        conds: positive, negative, others.
        x_in: [batch, channels, h, w] in the model's space.
        timestep: sigma, [batch].
        model_options: with functions inside of the network, which take the place of the model's.

    Raises:
        NotOfferedError: an option has no counterpart.
    """
    inside = (model_options or {}).get(INSIDE, {})
    predict = with_wrappers(WrappersMP.CALC_COND_BATCH, _predict_each, None, inside)
    return predict(model, conds, x_in, timestep, model_options)


def _predict_each(
    model: LiveModel,
    conds: Sequence[Entries | None],
    x_in: Tensor,
    timestep: Tensor,
    model_options: Mapping[str, Any] | None = None,
) -> list[Tensor]:
    return model.predict_each(conds, x_in, timestep, model_options)


def calc_cond_uncond_batch(
    model: LiveModel,
    cond: Entries | None,
    uncond: Entries | None,
    x_in: Tensor,
    timestep: Tensor,
    model_options: Mapping[str, Any] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the x0 of the positive and of the negative conditions."""
    positive, negative = calc_cond_batch(model, [cond, uncond], x_in, timestep, model_options)
    return positive, negative


def cfg_function(
    model: LiveModel,
    cond_pred: Tensor,
    uncond_pred: Tensor,
    cond_scale: float,
    x: Tensor,
    timestep: Tensor,
    model_options: Mapping[str, Any] | None = None,
    cond: Entries | None = None,
    uncond: Entries | None = None,
) -> Tensor:
    """Combine two predictions, by the pack's function or the model's own rule, and correct it."""
    options = model_options or {}
    inputs = GuidanceInputs(x, timestep, cond_pred, uncond_pred, cond_scale)
    arguments = {
        **rule_arguments(inputs, model.model_patcher),
        "model": model,
        "model_options": options,
    }
    combine = options.get("sampler_cfg_function")
    settings = model.model_patcher.handle.guidance
    if combine:
        guided = x - combine({**arguments, "cond": x - cond_pred, "uncond": x - uncond_pred})
    else:
        guided = settings.combine(inputs)
    guided = settings.correct(x, guided, cond_pred)
    for correct in options.get("sampler_post_cfg_function", ()):
        guided = correct({**arguments, "denoised": guided, "cond": cond, "uncond": uncond})
    return guided


def _always(model: LiveModel) -> bool:
    return model.model_patcher.handle.guidance.disable_cfg1_optimization
