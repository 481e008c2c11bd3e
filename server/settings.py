"""What `nodegraph serve` is told beside the settings that every command has."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 8188


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the server listens, whom it lets in, what it keeps."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 means any free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names that it goes by."""
    token: str = ""
    """What clients have to know; needed where other machines can reach the server."""
    data_dir: Path
    """Holds the queue."""
    slots: int = 1
    """How many runs a worker computes at once."""
    max_upload: int = 100 * 2**20
    """Bytes that a request may have."""
    drain: float = 60.0
    """Seconds that runs may take to finish once the server is told to stop."""
    history: int = 10_000
    """How many runs that are over are kept."""
