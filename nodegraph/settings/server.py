"""The settings of `nodegraph serve`: the `[server]` table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from nodegraph.files.user_dirs import data_folder
from nodegraph.runtime.choices import LogFormat, LogLevel, Range

EVERYWHERE = "all"
"""Stands for every room in `log_levels`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the server listens, whom it lets in, what it computes on and what it keeps."""

    host: str = "127.0.0.1"
    port: Annotated[int, Range(ge=0, le=65535)] = 8188
    """0 means any free one."""
    allow_hosts: tuple[str, ...] = ()
    """Further names that it goes by."""
    token: str = field(default="", repr=False)
    """What clients have to know; needed where other machines can reach the server."""
    token_file: Path | None = None
    """Holds the token."""
    data_dir: Path = field(default_factory=lambda: data_folder() / "server")
    """Holds the queue."""
    devices: tuple[str, ...] = ()
    """`cpu`, `cuda:0`, …, a worker process each; every CUDA device that is seen if empty."""
    reload_packs: bool = False
    """Whether packs are read again when their files change, as those who write them like it."""
    slots: Annotated[int, Range(ge=1)] = 1
    """How many runs a worker computes at once."""
    max_request: Annotated[int, Range(gt=0)] = 32 * 2**20
    """Bytes that a request may have that is no upload."""
    max_upload: Annotated[int, Range(gt=0)] = 100 * 2**20
    """Bytes that an upload may have."""
    drain: Annotated[float, Range(ge=0)] = 60.0
    """Seconds that runs may take to finish once the server is told to stop."""
    history: Annotated[int, Range(ge=0)] = 10_000
    """How many runs that are over are kept."""
    history_days: Annotated[float, Range(ge=0, le=36_500)] = 0.0
    """How many days they are kept; 0 for ever."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts, addresses and networks that may be told when a run is over; nobody else is."""
    webhook_secret: str = field(default="", repr=False)
    """Signs what they are told; by default one that is made, and kept in the data folder."""
    log_format: LogFormat = "text"
    """How log records are written: a line for people, or a JSON object a line."""
    log_levels: Mapping[str, LogLevel] = field(default_factory=dict[str, LogLevel])
    """From which level on records are written, by room (`server.store`) or for `all`."""
