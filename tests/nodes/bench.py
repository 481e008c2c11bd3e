"""A workbench for calling nodes by hand: a context that keeps what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.graph.graph import Node
from nodegraph.graph.results import Artifact
from nodegraph.runtime.choices import PreviewMethod
from nodegraph.runtime.model_pool import ModelPool


@dataclass
class Bench:
    """A `Context` over folders of its own."""

    root: Path
    prompt: Mapping[str, object] = field(default_factory=dict[str, object])
    type_versions: Mapping[str, str] = field(default_factory=dict[str, str])
    extra_pnginfo: Mapping[str, object] = field(default_factory=dict[str, object])
    preview_method: PreviewMethod = "none"
    node_id: str = "1"
    run_id: str = "bench"
    notices: list[str] = field(default_factory=list[str])
    progressed: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    previews: list[tuple[bytes, str]] = field(default_factory=list[tuple[bytes, str]])
    texts: list[str] = field(default_factory=list[str])
    models: ModelPool = field(default_factory=ModelPool)
    checks: int = 0
    cancel_at: int | None = None
    """Which check of `check_cancelled` raises, counted from 1."""

    @property
    def wants_preview(self) -> bool:
        return self.preview_method != "none"

    @property
    def files(self) -> Files:
        return Files(Folders.under(self.root))

    def path(self, artifact: Artifact) -> Path:
        """Where an artifact was written."""
        return self.root / artifact.type / artifact.subfolder / artifact.filename

    def node(self, node_id: str) -> Node | None:
        return None

    def shown_as(self, node_id: str) -> str:
        return node_id

    def progress(self, value: int, total: int) -> None:
        self.progressed.append((value, total))

    def preview(self, image: bytes, mime: str) -> None:
        self.previews.append((image, mime))

    def progress_text(self, text: str) -> None:
        self.texts.append(text)

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def check_cancelled(self) -> None:
        self.checks += 1
        if self.checks == self.cancel_at:
            raise InterruptedError
