"""The display of a run: a live line for each node, plain lines, or JSON."""

import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from nodegraph.cli.terminal.report import as_json
from nodegraph.execution.events import (
    Event,
    NodeCached,
    NodeEvent,
    NodeFinished,
    NodeStarted,
    Notice,
    Progress,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunPlanned,
    as_dict,
)
from nodegraph.files.files import Files
from nodegraph.graph.results import Artifact

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_QUIET_S = 10.0


class View:
    """Shows a run's events; this one, as lines. Remembers what was saved."""

    def __init__(self, titles: Mapping[str, str], files: Files) -> None:
        self._titles = titles
        self._files = files
        self._done = 0
        self._planned = 0
        self._spoke = time.monotonic()
        self._last: Event | None = None
        self._left = False
        self._lock = threading.Lock()
        self.saved: list[str] = []

    def show(self, event: Event) -> None:
        """Take the run's next event."""
        with self._lock:
            if not self._left:
                self._last = event
                self._take(event)

    def leave(self) -> None:
        """Show the end of a run that does not stop by itself, and nothing after that."""
        with self._lock:
            self._left = True
        self.close()
        last = self._last
        if last and not isinstance(last, RunFinished | RunFailed | RunCancelled):
            now = time.time_ns() // 1_000_000
            self.draw(RunCancelled(last.run_id, last.sequence + 1, now))
        self.finish()

    def draw(self, event: Event) -> None:
        """Show it: a line for each finished node, and for steps where little else happens."""
        if isinstance(event, NodeFinished | NodeCached | Notice):
            self.note(self.line(event))
        elif isinstance(event, Progress) and time.monotonic() - self._spoke > _QUIET_S:
            self.note(f"{self.counter} {self.title(event)}: {event.value} of {event.total}")

    def note(self, text: str) -> None:
        """Print a line on stderr."""
        self._spoke = time.monotonic()
        click.echo(text, err=True)

    def close(self) -> None:
        """Stop drawing."""

    def finish(self) -> None:
        """Print the paths of what was saved, alone on stdout."""
        for place in self.saved:
            click.echo(place)

    def title(self, event: NodeEvent) -> str:
        """Return a node's title, or its type, with its id."""
        return f"{self._titles.get(event.shown_as, event.type_name)} ({event.shown_as})"

    @property
    def counter(self) -> str:
        """The number of nodes done, and of all nodes."""
        return f"[{self._done}/{max(self._planned, self._done)}]"

    def line(self, event: NodeEvent) -> str:
        """One line on what has happened to a node."""
        if isinstance(event, Notice):
            return f"note: {self.title(event)}: {event.message}"
        took = f"{event.seconds:.1f} s" if isinstance(event, NodeFinished) else "cached"
        return f"{self.counter} {self.title(event)}: {took}"

    def _take(self, event: Event) -> None:
        if isinstance(event, NodeFinished | NodeCached):
            self._done += 1
            self._remember(event)
        if isinstance(event, RunPlanned):
            self._planned = len(event.nodes)
        self.draw(event)

    def _remember(self, event: NodeFinished | NodeCached) -> None:
        artifacts = event.ui.artifacts.values() if event.ui else ()
        for artifact in (item for items in artifacts for item in items):
            self._keep(artifact)

    def _keep(self, artifact: Artifact) -> None:
        place = self._files.users.place(artifact)
        if artifact.type == "output":
            self.saved.append(place)
        else:
            self.note(f"preview: {place}")


class JsonView(View):
    """Each event as a line of JSON on stdout, as soon as it happens."""

    def draw(self, event: Event) -> None:
        """Print the event."""
        click.echo(as_json(as_dict(event), indent=None))

    def finish(self) -> None:
        """Print one more line: the paths of what was saved."""
        paths = self.saved
        click.echo(as_json({"event": "saved", "paths": paths}, indent=None))


class LiveView(View):
    """A terminal: a line for each finished node, and a live one for those that run."""

    def __init__(self, titles: Mapping[str, str], files: Files, bar: "Bar") -> None:
        super().__init__(titles, files)
        self._bar = bar
        self._tasks = {"": bar.add_task("Starting", total=None, steps="")}
        bar.start()

    def draw(self, event: Event) -> None:
        """Move the bar."""
        if isinstance(event, NodeStarted):
            self._drop("")
            task = self._bar.add_task(self.title(event), total=None, steps="")
            self._tasks[event.node_id] = task
        elif isinstance(event, Progress) and event.node_id in self._tasks:
            task = self._tasks[event.node_id]
            steps = f"{event.value}/{event.total}"
            self._bar.update(task, completed=event.value, total=event.total, steps=steps)
        elif isinstance(event, NodeFinished | NodeCached):
            self._drop(event.node_id)
        if not isinstance(event, Progress):
            super().draw(event)

    def note(self, text: str) -> None:
        """Print a line above the live line."""
        self._bar.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Take the live line away."""
        self._bar.stop()

    def _drop(self, node_id: str) -> None:
        task = self._tasks.pop(node_id, None)
        if task is not None:
            self._bar.remove_task(task)


@contextmanager
def open_view(wants_json: bool, titles: Mapping[str, str], files: Files) -> Generator[View]:
    """Open the view that suits stderr; it stops drawing at the end of the block."""
    if wants_json:
        view: View = JsonView(titles, files)
    elif sys.stderr.isatty():
        view = LiveView(titles, files, _bar())
    else:
        view = View(titles, files)
    try:
        yield view
    finally:
        view.close()


def _bar() -> "Bar":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as RichProgress

    return RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=32),
        TextColumn("{task.fields[steps]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
