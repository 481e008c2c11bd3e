"""Show a queue: drawn on a terminal, elsewhere a line for each change."""

import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from nodegraph.cache.protocol import Stats
from nodegraph.cli.terminal.cache_view import describe, describe_weights
from nodegraph.client import Run, RunEvent
from nodegraph.runtime.model_pool import PoolStats

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.table import Table

_SHORT = 8
_MOST_WAITING = 15
_STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow"}


@dataclass(slots=True)
class RunActivity:
    """The node that a run computes, and how far it is."""

    node: str = ""
    """The node, as people call it."""
    value: int = 0
    total: int = 0

    def take(self, event: RunEvent) -> None:
        """Learn of an event."""
        if event.name == "node_started":
            self.node = f"{event.data['type_name']} ({event.data['shown_as']})"
            self.value = self.total = 0
        elif event.name == "progress":
            self.value, self.total = event.data["value"], event.data["total"]


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it was a moment ago."""

    running: list[Run] = field(default_factory=list[Run])
    waiting: list[Run] = field(default_factory=list[Run])
    """The next one first."""
    over: list[Run] = field(default_factory=list[Run])
    """The last one first."""
    cache: Stats = field(default_factory=Stats)
    """The result caches of all workers together."""
    weights: PoolStats = field(default_factory=PoolStats)
    """Their weights in memory."""


class QueueView:
    """Shows a queue; this one, as lines on stdout: one whenever a run's status is another."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._caches: set[str] = set()
        self._trouble = ""

    def show(self, queue: Queue, doing: Mapping[str, RunActivity]) -> None:  # noqa: ARG002 - lines tell of changes only
        """Return the queue as it is now."""
        if self._trouble:
            self._trouble = ""
            self._say("the server is back")
        for run in (*reversed(queue.over), *queue.running, *queue.waiting):
            if self._told.get(run.id) != run.status:
                self._told[run.id] = run.status
                self._say(f"{run.id} {state_of(run)}")
                if run.ended:
                    self._tell_caches({describe(queue.cache), describe_weights(queue.weights)})

    def show_unreachable(self, reason: str) -> None:
        """Show that the server does not answer."""
        if not self._trouble:
            self._say(f"{reason} Trying again.")
        self._trouble = reason

    def _tell_caches(self, states: set[str]) -> None:
        """Say what the run that is over left in the caches."""
        for state in sorted(states - self._caches):
            self._say(state)
        self._caches = states

    def _say(self, text: str) -> None:
        click.echo(f"{time.strftime('%H:%M:%S')} {text}")


class LiveQueueView(QueueView):
    """The same, drawn anew all the time.

    Args:
        live: draws it.
        url: whose queue it is.
    """

    def __init__(self, live: "Live", url: str) -> None:
        super().__init__()
        self._live = live
        self._url = url
        self._drawn: RenderableType = ""

    def show(self, queue: Queue, doing: Mapping[str, RunActivity]) -> None:
        """Draw it."""
        from rich.console import Group
        from rich.text import Text

        counts = f"{len(queue.running)} running, {len(queue.waiting)} waiting"
        tables = (_running(queue.running, doing), _waiting(queue.waiting), _over(queue.over))
        shown = [table for table in tables if table.row_count]
        head = Text(f"{self._url}: {counts}", style="bold")
        caches = f"{describe(queue.cache)}\n{describe_weights(queue.weights)}"
        self._drawn = Group(head, Text(caches, style="dim"), *shown)
        self._live.update(self._drawn, refresh=True)

    def show_unreachable(self, reason: str) -> None:
        """Say so above what was known."""
        from rich.console import Group
        from rich.text import Text

        note = Text(f"{reason} Trying again.", style="yellow")
        self._live.update(Group(note, self._drawn), refresh=True)


@contextmanager
def open_view(url: str) -> Generator[QueueView]:
    """Return the view that suits where stdout goes."""
    if not sys.stdout.isatty():
        yield QueueView()
        return
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        yield LiveQueueView(live, url)


def state_of(run: Run) -> str:
    """Return the state of a run in words."""
    if run.status == "queued":
        return f"waits, {run.position or 0} before it"
    if run.status == "running":
        return "runs" if run.attempts <= 1 else f"runs, attempt {run.attempts}"
    if run.status == "failed" and run.error:
        node = run.error.get("node_id")
        return f"failed: {f'node {node}: ' if node else ''}{run.error.get('message', '')}"
    return f"{run.status}{_took(run)}"


def _took(run: Run) -> str:
    if run.started_ms is None or run.finished_ms is None:
        return ""
    return f" after {(run.finished_ms - run.started_ms) / 1000:.1f} s"


def _running(runs: list[Run], doing: Mapping[str, RunActivity]) -> "Table":
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    table = _table("Running")
    now = time.time_ns() // 1_000_000
    for run in runs:
        at = doing.get(run.id)
        total = at.total if at else 0
        steps = f"{at.value}/{total}" if at and total else ""
        bar = ProgressBar(total=total or 1, completed=at.value if at and total else 0, width=24)
        seconds = max(0, now - (run.started_ms or now)) // 1000
        node = Text(at.node if at else "")
        table.add_row(*_who(run), node, bar, steps, f"{seconds} s")
    return table


def _waiting(runs: list[Run]) -> "Table":
    table = _table("Waiting")
    for run in runs[:_MOST_WAITING]:
        table.add_row(*_who(run), state_of(run))
    if len(runs) > _MOST_WAITING:
        table.add_row("…", "", f"and {len(runs) - _MOST_WAITING} more")
    return table


def _over(runs: list[Run]) -> "Table":
    from rich.text import Text

    table = _table("Over")
    for run in runs:
        table.add_row(*_who(run), Text(state_of(run), style=_STYLES[run.status]))
    return table


def _table(title: str) -> "Table":
    from rich.table import Table

    return Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 1))


def _who(run: Run) -> "tuple[RenderableType, RenderableType]":
    from rich.text import Text

    return Text(run.id[:_SHORT], style="cyan"), Text(run.client[:20], style="dim")
