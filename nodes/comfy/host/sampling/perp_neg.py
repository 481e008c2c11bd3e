"""`comfy_extras.nodes_perpneg`: the guider of Perp-Neg, which packs derive from."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nodes.comfy.values.sampling.guidance import calc_cond_batch
from nodes.comfy.values.sampling.guiders import POST_CFG, CFGGuider
from nodes.sampling.guidance.rules import GuidanceInputs, PerpNeg

__all__ = ["Guider_PerpNeg", "perp_neg"]
_EMPTY = "empty_negative_prompt"


def perp_neg(
    x: Tensor,
    noise_pred_pos: Tensor,
    noise_pred_neg: Tensor,
    noise_pred_nocond: Tensor,
    neg_scale: float,
    cond_scale: float,
) -> Tensor:
    """Return the guided prediction of three: for the positive, negative and the empty prompt."""
    level = x.new_zeros(1)  # which the rule does not read
    inputs = GuidanceInputs(
        x, level, noise_pred_pos, noise_pred_neg, cond_scale, (noise_pred_nocond,)
    )
    return PerpNeg(neg_scale)(inputs)


class Guider_PerpNeg(CFGGuider):  # noqa: N801 - the name that packs import
    """A guider away from the part of the negative prompt that is perpendicular to the positive."""

    neg_scale: float = 1.0

    def set_conds(self, positive: Any, negative: Any, empty_negative_prompt: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as in ComfyUI
        """Set the conditions, as CONDITIONING values."""
        self.inner_set_conds(
            {"positive": positive, _EMPTY: empty_negative_prompt, "negative": negative}
        )

    def set_cfg(self, cfg: float, neg_scale: float) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - likewise
        """Set the scale of guidance, and the weight of the negative prompt in it."""
        self.cfg, self.neg_scale = cfg, neg_scale

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """Return the guided x0; see `CFGGuider.predict_noise`."""
        del seed
        options = model_options or {}
        conds = [self.conds.get(name) for name in ("positive", "negative", _EMPTY)]
        positive, negative, empty = calc_cond_batch(self.inner_model, conds, x, timestep, options)
        guided = perp_neg(x, positive, negative, empty, self.neg_scale, self.cfg)
        for correct in options.get(POST_CFG, ()):
            guided = correct(
                {
                    "denoised": guided,
                    "cond": conds[0],
                    "uncond": conds[1],
                    "cond_denoised": positive,
                    "uncond_denoised": negative,
                    "empty_cond": conds[2],
                    "empty_cond_denoised": empty,
                    "cond_scale": self.cfg,
                    "input": x,
                    "sigma": timestep,
                    "model": self.inner_model,
                    "model_options": options,
                }
            )
        return guided
