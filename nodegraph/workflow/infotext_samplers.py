"""Samplers and schedulers by the names that AUTOMATIC1111's web UI has for them."""

from collections.abc import Mapping
from typing import Final

SCHEDULERS: Final[Mapping[str, str]] = {
    "uniform": "normal",
    "normal": "normal",
    "karras": "karras",
    "polyexponential": "exponential",
    "exponential": "exponential",
    "sgm uniform": "sgm_uniform",
    "kl optimal": "kl_optimal",
    "simple": "simple",
    "beta": "beta",
    "ddim": "ddim_uniform",
}
"""ComfyUI's schedulers by the web UI's schedule types, in lower case."""
AUTOMATIC: Final[Mapping[str, str]] = {
    "dpm2": "karras",
    "dpm2 a": "karras",
    "dpm++ 2s a": "karras",
    "dpm++ 2m": "karras",
    "dpm++ sde": "karras",
    "dpm++ 2m sde": "exponential",
    "dpm++ 2m sde heun": "exponential",
    "dpm++ 3m sde": "exponential",
    "restart": "karras",
}
"""The scheduler that the schedule type "Automatic" means, by sampler; for others it is `normal`."""
ONLY_ALIKE: Final = ("ddim cfg++", "plms", "restart")
"""Samplers that ComfyUI does not have; the nearest one is taken."""
_SAMPLERS: Final[Mapping[str, str]] = {
    "ddim cfg++": "ddim",
    "dpm2": "dpm_2",
    "dpm2 a": "dpm_2_ancestral",
    "heun++": "heunpp2",
    "plms": "ipndm",
    "restart": "euler",
    "unipc": "uni_pc",
}
"""Samplers whose names in ComfyUI do not follow from the web UI's."""


def split_sampler(given: str) -> tuple[str, str]:
    """Return the sampler of the web UI in lower case, and the scheduler that its name ends with.

    `DPM++ 2M Karras` is the sampler and the scheduler in older versions; the scheduler is `normal`
    if there is none.
    """
    name = " ".join(given.lower().split())
    ends = [kind for kind in SCHEDULERS if name.endswith(f" {kind}")]
    if not ends:
        return name, "normal"
    kind = max(ends, key=len)
    return name.removesuffix(f" {kind}"), SCHEDULERS[kind]


def sampler_name(name: str) -> str:
    """Return ComfyUI's name of a sampler of the web UI in lower case; unknown ones stay alike."""
    if name in _SAMPLERS:
        return _SAMPLERS[name]
    if name.endswith(" a"):
        name = f"{name.removesuffix(' a')} ancestral"
    return name.replace(" cfg++", " cfg pp").replace("++", "pp").replace(" ", "_").replace("-", "_")
