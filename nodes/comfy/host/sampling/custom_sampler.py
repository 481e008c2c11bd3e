"""`comfy_extras.nodes_custom_sampler`: the guiders and noise that packs make themselves."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nodes.comfy.values.sampling.guidance import calc_cond_batch, cfg_function
from nodes.comfy.values.sampling.guiders import CFGGuider
from nodes.comfy.values.sampling.noise import PackNoise
from nodes.values import Noise

__all__ = ["Guider_Basic", "Guider_DualCFG", "Noise_EmptyNoise", "Noise_RandomNoise"]


class Guider_Basic(CFGGuider):  # noqa: N801 - the name that packs import
    """A guider that follows one prompt without guidance."""

    def set_conds(self, positive: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as in ComfyUI
        """Set the conditions, as a CONDITIONING."""
        self.inner_set_conds({"positive": positive})


class Guider_DualCFG(CFGGuider):  # noqa: N801 - likewise
    """A guider by two prompts: from the negative one to the second, and on to the first."""

    def set_conds(self, positive: Any, middle: Any, negative: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - likewise
        """Set the conditions, as CONDITIONING values; `middle` is the second prompt."""
        self.inner_set_conds({"positive": positive, "middle": middle, "negative": negative})

    def set_cfg(self, cfg1: float, cfg2: float, nested: bool = False) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - likewise
        """Set the scales: of the first prompt over the second, and of that over the negative one.

        Args:
            cfg1: the first.
            cfg2: the second; with `nested` it is that of the guided result of both.
            nested: guide from the negative prompt to that result.
        """
        self.cfg, self.cfg2, self.nested = cfg1, cfg2, nested

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """Return the guided x0; see `CFGGuider.predict_noise`."""
        del seed
        conds = [self.conds.get(name) for name in ("negative", "middle", "positive")]
        negative, middle, positive = calc_cond_batch(
            self.inner_model, conds, x, timestep, model_options
        )
        if self.nested:
            guided = self._combine(positive, middle, self.cfg, x, timestep, model_options)
            return negative + self.cfg2 * (guided - negative)
        guided = self._combine(middle, negative, self.cfg2, x, timestep, model_options)
        return guided + self.cfg * (positive - middle)

    def _combine(
        self,
        to: Tensor,
        base: Tensor,
        scale: float,
        x: Tensor,
        timestep: Tensor,
        options: Mapping[str, Any] | None,
    ) -> Tensor:
        return cfg_function(self.inner_model, to, base, scale, x, timestep, model_options=options)


class Noise_EmptyNoise:  # noqa: N801 - likewise
    """No noise."""

    seed = 0

    def generate_noise(self, input_latent: Mapping[str, Any]) -> Tensor:
        """Return zeros of a LATENT's shape, on the CPU."""
        return torch.zeros_like(input_latent["samples"], device="cpu")


class Noise_RandomNoise(PackNoise):  # noqa: N801 - likewise
    """The noise of a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__(Noise((seed,)))
