"""A lock on the data folder: the queue in it belongs to one server at a time."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nodegraph.errors import SettingsError
from server.errors import DataFolderInUseError


@contextmanager
def lock_data_folder(folder: Path) -> Generator[None]:
    """Create the folder and keep other servers out; the system unlocks it when this one dies.

    Raises:
        DataFolderInUseError: another server uses the folder.
        SettingsError: the folder cannot be created or written.
    """
    holder = folder / "server.pid"
    lock = FileLock(folder / "server.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        holder.write_text(f"{os.getpid()}\n")
    except Timeout as error:
        who = holder.read_text().strip() if holder.is_file() else "unknown"
        raise DataFolderInUseError(folder, who) from error
    except OSError as error:
        message = (
            f"the data folder {folder} cannot be used: {(error.strerror or str(error)).lower()}."
        )
        raise SettingsError(message, hint="--data-dir chooses another one.") from error
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
