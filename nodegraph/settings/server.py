"""The settings of `nodegraph serve`: the `[server]` table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from nodegraph.files.user_dirs import data_folder
from nodegraph.runtime.choices import LogFormat, LogLevel, Placement, Prefer, Range, Scripts
from nodegraph.settings.ray import RaySettings

EVERYWHERE = "all"
"""Stands for every room in `log_levels`, and for every server in `comfyui_slots`."""


def _workflows_folder() -> Path:
    """Return `./workflows` where it exists, else the folder of those that come with nodegraph."""
    here = Path("workflows")
    return here if here.is_dir() else Path(__file__).parents[2] / "workflows"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the server listens, whom it lets in, what it computes on and what it keeps."""

    host: str = "127.0.0.1"
    port: Annotated[int, Range(ge=0, le=65535)] = 8188
    """The port to listen on; 0 means any free one."""
    allow_hosts: tuple[str, ...] = ()
    """Further host names of the server."""
    token: str = field(default="", repr=False)
    """The secret that clients send; needed if other machines can reach the server."""
    token_file: Path | None = None
    """Holds the token."""
    data_dir: Path = field(default_factory=lambda: data_folder() / "server")
    """Holds the queue, unless `database` does."""
    database: str = field(default="", repr=False)
    """The URL of a Postgres database for the queue; SQLite in `data_dir` if empty."""
    name: str = ""
    """The server's name among those that share a database; its host and port if not set."""
    lease: Annotated[float, Range(ge=1, le=3600)] = 10.0
    """Seconds without a sign of life after which such servers take over the runs of another."""
    workers: str = "local"
    """`local` for processes on this machine; `ray` or `ray://HOST:PORT` for actors of a cluster."""
    ray: RaySettings = field(default_factory=RaySettings)
    """The settings of workers on Ray only."""
    devices: tuple[str, ...] = ()
    """`cpu`, `cuda:0`, `xpu:0`, …, a worker process each; every card that is seen if empty."""
    reload_packs: bool = False
    """True to reload packs when their files change; for writing packs."""
    warm: tuple[Path, ...] = ()
    """Workflows whose models each worker reads before it takes runs."""
    keep: bool = False
    """True if these models stay in memory, whatever else is loaded."""
    slots: Annotated[int, Range(ge=1)] = 1
    """The runs that a worker computes at once."""
    max_request: Annotated[int, Range(gt=0)] = 32 * 2**20
    """The most bytes of a request other than an upload."""
    max_upload: Annotated[int, Range(gt=0)] = 100 * 2**20
    """The most bytes of an upload."""
    signed_urls: Annotated[int, Range(ge=0, le=604_800)] = 0
    """Seconds that clients may read a file at the object store's own address; 0: never."""
    drain: Annotated[float, Range(ge=0)] = 60.0
    """Seconds that runs may take to finish once the server is told to stop."""
    history: Annotated[int, Range(ge=0)] = 10_000
    """The most finished runs that are kept."""
    history_days: Annotated[float, Range(ge=0, le=36_500)] = 0.0
    """Days that finished runs are kept; 0 for ever."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts, addresses and networks that webhooks may be sent to."""
    webhook_secret: str = field(default="", repr=False)
    """Signs webhooks; by default one that is generated, and kept in the data folder."""
    comfyui: tuple[str, ...] = ()
    """The ComfyUI servers that may run runs, too: addresses, or `NAME=ADDRESS`."""
    comfyui_headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """A header that such a server wants with every request, by its name: `Authorization: …`."""
    comfyui_slots: Mapping[str, Annotated[int, Range(ge=1)]] = field(default_factory=dict[str, int])
    """The runs that such a server is given at once, by its name or for `all`; 1 if not set."""
    comfyui_scripts: Scripts = "local"
    """The servers whose packs' scripts the editor runs: those on this machine, all, or none."""
    comfyui_routes: tuple[str, ...] = ()
    """Further paths of their packs that scripts may GET; `*` at the end: all that begin so."""
    placement: Placement = "models"
    """The rule by which several workers get runs."""
    prefer: Prefer = "native"
    """The workers of runs that a ComfyUI server could run just as well."""
    workflows_dir: Path = field(default_factory=_workflows_folder)
    """Holds the workflows that `/score` runs by their names."""
    score_open: bool = False
    """True if `/score` needs no token, because a gateway checks who may call it."""
    score_deadline: Annotated[float, Range(ge=0, le=3600)] = 4.0
    """Seconds after which `/score` answers that a run is not over yet."""
    score_waiting: Annotated[int, Range(ge=1)] = 100
    """The waiting runs from which on `/score` takes no further one."""
    score_pending_ok: bool = False
    """True if that answer has the status 200 rather than 202, which a gateway may not let pass."""
    traces: str = ""
    """The address of an OpenTelemetry collector that gets traces by OTLP over HTTP."""
    log_format: LogFormat = "text"
    """The format of log records: a line of text, or a JSON object, for each."""
    log_levels: Mapping[str, LogLevel] = field(default_factory=dict[str, LogLevel])
    """The lowest level that is logged, by room (`server.store`) or for `all`."""
