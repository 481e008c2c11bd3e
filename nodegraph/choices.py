"""Words that settings and flags take; commands name them before anything else is imported."""

from typing import Literal, TypeAlias

PreviewMethod: TypeAlias = Literal["none", "latent2rgb", "taesd"]
"""How unfinished images are shown: not, by a small matrix, or by a small decoder."""
LogFormat: TypeAlias = Literal["text", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
