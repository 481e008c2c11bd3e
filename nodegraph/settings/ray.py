"""The settings of workers on Ray: the `[server.ray]` table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from nodegraph.runtime.choices import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class RaySettings:
    """The cluster, and the actors in it that compute."""

    address: str = "auto"
    """`HOST:PORT` of the head, `ray://HOST:PORT`, `auto`, or `local` for a cluster of its own."""
    namespace: str = "nodegraph"
    """The namespace of the actors; servers with the same one share them."""
    workers: Annotated[int, Range(ge=1)] | None = None
    """The actors that are always wanted; by default one for each GPU, or one if there is none."""
    max_workers: Annotated[int, Range(ge=1)] | None = None
    """The most actors: further ones are wanted while runs wait; by default as `workers`."""
    idle: Annotated[float, Range(gt=0)] = 300.0
    """Seconds without a run after which a further actor is given up."""
    keep: Annotated[float, Range(gt=0)] = 3600.0
    """Seconds that an actor stays, with its caches, when no server is connected to it."""
    gpus: Annotated[float, Range(ge=0)] | None = None
    """GPUs of an actor; by default 1 if the cluster has any, else 0."""
    cpus: Annotated[float, Range(ge=0)] = 1.0
    """Cores of an actor."""
    resources: Mapping[str, Annotated[float, Range(gt=0)]] = field(default_factory=dict[str, float])
    """Further resources of an actor, by Ray's names for them."""
    runtime_env: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The runtime environment of an actor, in Ray's terms."""
