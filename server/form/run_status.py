"""The status of a visitor's run, and its HTML."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nodegraph.client import Run, RunEvent

_DISPLAYABLE = ("image/jpeg", "image/png", "image/webp")


@dataclass(slots=True)
class RunStatus:
    """The status of a run: a text, the progress of a node, and a preview.

    Args:
        titles: the titles of the workflow's nodes, by id.
    """

    titles: Mapping[str, str]
    text: str = "Sending …"
    value: int = 0
    total: int = 0
    """Steps of the active node; 0 if unknown."""
    preview: str = ""
    """An unfinished image, as a `data:` URL."""
    failed: bool = False

    def take(self, event: RunEvent) -> None:
        """Update the status by an event."""
        data = event.data
        if event.name == "position":
            self.wait(data["position"])
        elif event.name == "node_started":
            self.text, self.value, self.total = f"{self._title(data)} …", 0, 0
        elif event.name == "progress":
            self.value, self.total = data["value"], data["total"]
            self.text = f"{self._title(data)}: {self.value} of {self.total}"
        elif event.name == "preview" and data["mime"] in _DISPLAYABLE:
            self.preview = f"data:{data['mime']};base64,{data['image']}"

    def wait(self, before: int) -> None:
        """Set the status to waiting, with the number of runs ahead."""
        others = "1 other is" if before == 1 else f"{before} others are"
        self.text = f"Waiting: {others} before you." if before else "You are next."

    def end(self, run: Run) -> None:
        """Set the status to the end of a run."""
        self.preview, self.value, self.total = "", 0, 0
        if run.status == "failed":
            error = run.error or {}
            self.fail(str(error.get("message", "It failed.")), str(error.get("hint", "")))
        elif run.status == "cancelled":
            self.text = "Cancelled."
        else:
            seconds = ((run.finished_ms or 0) - (run.started_ms or 0)) / 1000
            self.text = f"Done in {max(0.0, seconds):.1f} s."

    def fail(self, message: str, hint: str = "") -> None:
        """Set the status to an error."""
        text = f"{message} {hint}".strip()
        self.text, self.failed, self.preview, self.total = text[:1].upper() + text[1:], True, "", 0

    @property
    def html(self) -> str:
        """The HTML of the status."""
        kind = "alert" if self.failed else "status"
        parts = [f'<p role="{kind}" class="status-{kind}">{escape(self.text)}</p>']
        if self.total:
            parts.append(f'<progress value="{self.value}" max="{self.total}"></progress>')
        if self.preview:
            source = escape(self.preview, quote=True)
            parts.append(f'<img class="status-preview" alt="Unfinished image" src="{source}">')
        return "".join(parts)

    def _title(self, data: Mapping[str, Any]) -> str:
        return self.titles.get(data["shown_as"], data["type_name"])


def settings_table(settings: Mapping[str, str], workflow: Path) -> str:
    """Return the HTML of an image's settings, with a link to its workflow."""
    rows = (
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in settings.items()
    )
    place = f"gradio_api/file={quote(str(workflow))}"
    link = f'<a href="{escape(place)}" download="{workflow.name}">Download its workflow</a>'
    return f'<table class="settings">{"".join(rows)}</table><p>{link}</p>'
