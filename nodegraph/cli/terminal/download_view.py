"""Shows downloads: a progress bar on a terminal, a line now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from rich.progress import Progress

_QUIET_S = 10.0


class DownloadView:
    """A `nodegraph.files.sources.Watch` that talks to stderr; used as a context."""

    def __init__(self) -> None:
        self._spoke = time.monotonic()

    def progress(self, value: int, total: int) -> None:
        """Print the progress, at most now and then."""
        if time.monotonic() - self._spoke > _QUIET_S:
            self.notice(f"{value} of {total} MB")

    def notice(self, message: str) -> None:
        """Print a message."""
        self._spoke = time.monotonic()
        click.echo(message, err=True)

    def check_cancelled(self) -> None:
        """Do nothing: Ctrl-C ends this program by itself."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing: there is no bar to remove."""


class DownloadBar(DownloadView):
    """A `DownloadView` that draws a progress bar on a terminal."""

    def __init__(self, bar: "Progress") -> None:
        super().__init__()
        self._bar = bar
        self._task = bar.add_task("Asking the hub", total=None)

    def progress(self, value: int, total: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, description="MB", completed=value, total=total)

    def notice(self, message: str) -> None:
        """Print a message above the bar."""
        self._bar.console.print(message, markup=False, highlight=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        self._bar.stop()


def open_download_view() -> DownloadView:
    """Return a bar if stderr is a terminal, else a view that prints lines."""
    if not sys.stderr.isatty():
        return DownloadView()
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (MofNCompleteColumn(), TextColumn("{task.description}"), BarColumn(32))
    bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    return DownloadBar(bar)
