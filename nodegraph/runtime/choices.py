"""Choices and limits that settings, nodes and the server share."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

PATIENCE = 60.0
"""The most seconds that a pack may take to import, unless the settings say otherwise."""


Attention: TypeAlias = Literal["sdpa", "math", "flash", "cudnn", "xformers", "sage"]
"""The kernels that compute attention: torch's choice, its plainest, or a fast kind."""
DEFAULT_ATTENTION: Attention = "sdpa"
PreviewMethod: TypeAlias = Literal["none", "latent2rgb", "taesd"]
"""The way to preview unfinished images: none, by a small matrix, or by a small decoder."""
Placement: TypeAlias = Literal["models", "order"]
"""The rule by which workers get runs: by the models in memory, or by the order alone."""
Prefer: TypeAlias = Literal["native", "comfyui"]
"""The workers that a run goes to if both have all its node types: ours, or a ComfyUI server."""
Scripts: TypeAlias = Literal["local", "all", "none"]
"""The ComfyUI servers whose packs' scripts the editor runs: on this machine, all, or none."""
LogFormat: TypeAlias = Literal["text", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


class Range(NamedTuple):
    """Limits of a number, which pydantic checks; annotated-types would take 6 ms to import."""

    gt: float | None = None
    ge: float | None = None
    le: float | None = None

    def __get_pydantic_core_schema__(
        self, source: object, handler: Callable[[object], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Return pydantic's schema of the number, with these limits."""
        limits = {"gt": self.gt, "ge": self.ge, "le": self.le}
        return {**handler(source), **{key: at for key, at in limits.items() if at is not None}}
