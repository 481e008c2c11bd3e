"""Errors on the terminal: place, message, hint; with a traceback only on request."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nodegraph.errors import NodeGraphError

EXIT_FAILED = 1
EXIT_INVALID = 2
EXIT_INTERRUPTED = 130
_VERBOSE = "nodegraph.verbose"


class ReportingCommand(click.Command):
    """A command whose `NodeGraphError`s are shown and exit with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from nodegraph.errors import NodeGraphError

        try:
            return super().invoke(ctx)
        except NodeGraphError as error:
            self.refuse(error, wants_json=bool(ctx.params.get("wants_json")))
            ctx.exit(EXIT_INVALID)
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)

    def refuse(
        self,
        error: "NodeGraphError",
        *,
        wants_json: bool,  # noqa: ARG002 - for commands whose JSON has a place for errors
    ) -> None:
        """Show why the command did nothing, as a panel on stderr."""
        report(error)


class CheckingCommand(ReportingCommand):
    """A command whose JSON lists problems: with `--json`, an unreadable workflow is one of them."""

    def refuse(self, error: "NodeGraphError", *, wants_json: bool) -> None:
        """Show why there is nothing to check."""
        if wants_json:
            click.echo(as_json({"valid": False} | as_data(parts_of(error))))
        else:
            super().refuse(error, wants_json=False)


def set_verbose(ctx: click.Context, _: click.Parameter, verbose: bool) -> bool:
    """Remember `--verbose` for the report of an error."""
    ctx.meta[_VERBOSE] = verbose
    return verbose


def report(
    error: "NodeGraphError", titles: "dict[str, str] | None" = None, *, others: int = 0
) -> None:
    """Show an error, and each of its parts if it is made of several.

    Args:
        error: what is wrong.
        titles: what to call nodes besides their ids.
        others: the number of other nodes that have the same error.
    """
    for part in parts_of(error):
        panel(_where(part, titles or {}, others), _sentence(part.message), part.hint, part.code)
    context = click.get_current_context(silent=True)
    if context and context.meta.get(_VERBOSE):
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)


def parts_of(error: "NodeGraphError") -> "Sequence[NodeGraphError]":
    """Return the errors that an error consists of: its problems, or else itself."""
    return getattr(error, "problems", ()) or (error,)


def panel(where: str, what: str, hint: str, code: str) -> None:
    """Print place, message and hint: framed on a terminal, as plain lines elsewhere."""
    if sys.stderr.isatty():
        _print_panel(where, what, hint, code)
        return
    click.echo(f"error: {where + ': ' if where else ''}{what} [{code}]", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)


def warn(message: str) -> None:
    """Print a warning."""
    click.secho(f"warning: {message}", err=True, fg="yellow")


def as_data(
    problems: "Iterable[NodeGraphError]", warnings: "Iterable[NodeGraphError]" = ()
) -> dict[str, object]:
    """Return problems and warnings for JSON."""
    return {
        "problems": [problem.as_dict() for problem in problems],
        "warnings": [warning.as_dict() for warning in warnings],
    }


def as_json(data: object, indent: int | None = 2) -> str:
    """Return data as JSON text; values that JSON does not have become strings."""
    import json  # Imported here, for `--help` must be fast.

    return json.dumps(data, indent=indent, default=str)


def report_no_room(error: OSError) -> bool:
    """Show an error of a full disk, on stdout for example; return False if it is another error."""
    import errno

    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return False
    place = f" {error.filename}" if error.filename else ""
    click.echo(f"error: cannot write{place}: {error.strerror}.", err=True)
    try:
        sys.stdout.flush()
    except OSError:
        # The interpreter flushes once more when it ends, and would print a second error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _print_panel(where: str, what: str, hint: str, code: str) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    text = Text(what)
    if hint:
        text.append(f"\n{hint}", style="green")
    frame = Panel(
        text,
        title=Text(where or "error"),
        title_align="left",
        subtitle=Text(code),
        subtitle_align="right",
        border_style="red",
    )
    Console(stderr=True).print(frame)


def _where(error: "NodeGraphError", titles: dict[str, str], others: int) -> str:
    if error.node_id is None:
        return ""
    title = titles.get(error.node_id)
    named = f" ({title})" if title and title != error.node_id else ""
    more = f" and {others} more" if others else ""
    place = f", input {error.input_name!r}" if error.input_name else ""
    if error.message.lower().startswith(place[2:].lower()):
        place = ""  # The message begins with it.
    return f"node {error.node_id!r}{named}{more}{place}"


def _sentence(message: str) -> str:
    begins_with_address = "://" in message.partition(" ")[0]
    return message if begins_with_address else message[:1].upper() + message[1:]
