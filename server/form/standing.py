"""How somebody's run is doing, and what that looks like on the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nodegraph.client import Run, RunEvent

_SHOWN = ("image/jpeg", "image/png", "image/webp")


@dataclass(slots=True)
class Standing:
    """How a run is doing.

    Args:
        titles: what people call the workflow's nodes.
    """

    titles: Mapping[str, str]
    said: str = "Sending …"
    value: int = 0
    total: int = 0
    """Steps of the node that is at work; 0 if it does not tell."""
    preview: str = ""
    """An unfinished image, as a `data:` URL."""
    wrong: bool = False

    def take(self, event: RunEvent) -> None:
        """Learn of an event."""
        data = event.data
        if event.name == "position":
            self.wait(data["position"])
        elif event.name == "node_started":
            self.said, self.value, self.total = f"{self._title(data)} …", 0, 0
        elif event.name == "progress":
            self.value, self.total = data["value"], data["total"]
            self.said = f"{self._title(data)}: {self.value} of {self.total}"
        elif event.name == "preview" and data["mime"] in _SHOWN:
            self.preview = f"data:{data['mime']};base64,{data['image']}"

    def wait(self, before: int) -> None:
        """It waits for others."""
        others = "1 other is" if before == 1 else f"{before} others are"
        self.said = f"Waiting: {others} before you." if before else "You are next."

    def end(self, run: Run) -> None:
        """It is over."""
        self.preview, self.value, self.total = "", 0, 0
        if run.status == "failed":
            error = run.error or {}
            self.fail(str(error.get("message", "It failed.")), str(error.get("hint", "")))
        elif run.status == "cancelled":
            self.said = "Cancelled."
        else:
            seconds = ((run.finished_ms or 0) - (run.started_ms or 0)) / 1000
            self.said = f"Done in {max(0.0, seconds):.1f} s."

    def fail(self, message: str, hint: str = "") -> None:
        """Something is wrong."""
        text = f"{message} {hint}".strip()
        self.said, self.wrong, self.preview, self.total = text[:1].upper() + text[1:], True, "", 0

    @property
    def html(self) -> str:
        """What the page shows."""
        kind = "alert" if self.wrong else "status"
        parts = [f'<p role="{kind}" class="standing-{kind}">{escape(self.said)}</p>']
        if self.total:
            parts.append(f'<progress value="{self.value}" max="{self.total}"></progress>')
        if self.preview:
            source = escape(self.preview, quote=True)
            parts.append(f'<img class="standing-preview" alt="Unfinished image" src="{source}">')
        return "".join(parts)

    def _title(self, data: Mapping[str, Any]) -> str:
        return self.titles.get(data["shown_as"], data["type_name"])


def about(settings: Mapping[str, str], workflow: Path) -> str:
    """How an image was made, as the page shows it, and its workflow to take along."""
    rows = (
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in settings.items()
    )
    place = f"gradio_api/file={quote(str(workflow))}"
    link = f'<a href="{escape(place)}" download="{workflow.name}">Download its workflow</a>'
    return f'<table class="settings">{"".join(rows)}</table><p>{link}</p>'
