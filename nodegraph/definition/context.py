"""The services of the engine for a node that runs."""

from collections.abc import Mapping
from typing import Protocol

from nodegraph.files.files import Files
from nodegraph.graph.graph import Node
from nodegraph.runtime.choices import PreviewMethod
from nodegraph.runtime.model_pool import ModelPool


class Context(Protocol):
    """Given to every node function that has a parameter annotated `Context`."""

    @property
    def node_id(self) -> str:
        """The id of the node that runs."""
        ...

    @property
    def run_id(self) -> str:
        """The id of the run it belongs to."""
        ...

    @property
    def files(self) -> Files:
        """The models, input, output and temp folders."""
        ...

    @property
    def models(self) -> ModelPool:
        """The models in memory, which all runs of the engine share."""
        ...

    @property
    def prompt(self) -> Mapping[str, object]:
        """The whole graph in API format, as it was sent and as images carry it."""
        ...

    def node(self, node_id: str) -> Node | None:
        """Return a node as it runs, also one of an expansion; None if there is none.

        Its inputs are links, and values: of an expansion's node any, of others JSON.
        """
        ...

    def shown_as(self, node_id: str) -> str:
        """Return the node of the submitted graph that stands for a node in the editor."""
        ...

    @property
    def type_versions(self) -> Mapping[str, str]:
        """The version of each node type of the graph."""
        ...

    @property
    def extra_pnginfo(self) -> Mapping[str, object]:
        """The editor's data to store in images: `workflow`."""
        ...

    @property
    def wants_preview(self) -> bool:
        """True while a client watches previews; make none otherwise."""
        ...

    @property
    def preview_method(self) -> PreviewMethod:
        """The way in which previews are made."""
        ...

    def progress(self, value: int, total: int) -> None:
        """Report progress: `value` of `total` steps are done."""
        ...

    def preview(self, image: bytes, mime: str) -> None:
        """Show an intermediate image, encoded as `mime` (`image/jpeg`, `image/png`)."""
        ...

    def progress_text(self, text: str) -> None:
        """Show an unfinished text, as far as it is there, in place of what was shown before."""
        ...

    def notice(self, message: str) -> None:
        """Tell the user something that is not an error: a retry, a conversion, a fallback."""
        ...

    def check_cancelled(self) -> None:
        """Raise `RunCancelledError` if the run was cancelled; call it once a step."""
        ...
