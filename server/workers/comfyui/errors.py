"""Errors of runs on a ComfyUI server, and of the server itself."""

from collections.abc import Mapping

from nodegraph.errors import NodeGraphError, short_repr


class ComfyAnswerError(NodeGraphError):
    """A ComfyUI server answered in a way that its dialect does not have."""

    code = "comfyui_answer"

    def __init__(self, server: str, request: str, problem: str, hint: str = "") -> None:
        super().__init__(
            f"the ComfyUI server {server!r}: {request} {problem}.",
            hint=hint or "See its log, and if its address is right: comfyui in the settings.",
        )


class ComfyRefusedError(NodeGraphError):
    """A ComfyUI server found problems in a prompt, and did not take it or left out a part."""

    code = "comfyui_refused"

    def __init__(
        self, server: str, reason: str, node_id: str | None, details: Mapping[str, object]
    ) -> None:
        super().__init__(
            f"the ComfyUI server {server!r} refused the workflow: {reason}",
            hint="Its own node types and models count there, not those that are here.",
            node_id=node_id,
            details=details,
        )


class ComfyNodeError(NodeGraphError):
    """A node failed on a ComfyUI server."""

    code = "comfyui_node_failed"

    def __init__(
        self, server: str, node_id: str | None, reason: str, details: Mapping[str, object]
    ) -> None:
        kind = details.get("class_type") or "a node"
        super().__init__(
            f"{kind} failed on the ComfyUI server {server!r}: {reason}",
            node_id=node_id,
            details=details,
        )


class ComfyInterruptedError(NodeGraphError):
    """Somebody else stopped a run on a ComfyUI server, or removed it there."""

    code = "comfyui_interrupted"

    def __init__(self, server: str, how: str) -> None:
        super().__init__(
            f"it was {how} on the ComfyUI server {server!r}, by somebody else.",
            hint="Retry it.",
        )


class ComfyFileError(NodeGraphError):
    """A file that a ComfyUI server made can not be taken over."""

    code = "comfyui_file"

    def __init__(self, server: str, name: str, problem: str) -> None:
        super().__init__(
            f"the file {short_repr(name)} of the ComfyUI server {server!r} {problem}.",
            hint="It is still there, in that server's own folder.",
        )
