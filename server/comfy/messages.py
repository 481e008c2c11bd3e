"""A run's events as ComfyUI's WebSocket messages."""

from collections.abc import Iterator, Mapping
from typing import Any

Message = tuple[str, dict[str, Any]]


class Translator:
    """Follows one run.

    Args:
        run: its id, which ComfyUI calls the prompt's.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._cached: list[str] = []
        self._begun = False
        self._executed: list[str] = []
        self._types: dict[str, str] = {}
        self._current: str | None = None

    def milestone(self, name: str, data: Mapping[str, Any], time_ms: int) -> Iterator[Message]:
        """The messages that an event becomes."""
        match name:
            case "run_started":
                self._cached, self._begun, self._executed = [], False, []
                yield "execution_start", self._about(timestamp=time_ms)
            case "node_cached":
                yield from self._node_cached(data, time_ms)
            case "node_started":
                yield from self._begin(time_ms)
                yield from self._node_started(data)
            case "node_finished":
                yield from self._node_finished(data)
            case "run_finished":
                yield from self._begin(time_ms)
                yield "execution_success", self._about(timestamp=time_ms)
                yield "executing", self._about(node=None)
            case "run_failed":
                yield from self._begin(time_ms)
                yield "execution_error", self._failure(data.get("error") or {}, time_ms)
                yield "executing", self._about(node=None)
            case "run_cancelled":
                yield from self._begin(time_ms)
                yield "execution_interrupted", self._interruption(time_ms)
                yield "executing", self._about(node=None)
            case _:
                pass

    def progress(self, data: Mapping[str, Any]) -> Iterator[Message]:
        """A node's steps."""
        node = data["node_id"]
        value, total = data["value"], data["total"]
        yield "progress", self._about(value=value, max=total, node=node)
        yield self._state(data, "running", value, total)

    def _node_cached(self, data: Mapping[str, Any], time_ms: int) -> Iterator[Message]:
        """Before anything runs these are one message; later ones are told alone."""
        node = data["node_id"]
        if self._begun:
            yield "execution_cached", self._about(nodes=[node], timestamp=time_ms)
        else:
            self._cached.append(node)
        if data.get("ui"):
            yield from self._begin(time_ms)
            yield "executed", self._executed_data(data)

    def _begin(self, time_ms: int) -> Iterator[Message]:
        """Clients want to hear of the cached nodes, even of none, before anything runs."""
        if not self._begun:
            self._begun = True
            yield "execution_cached", self._about(nodes=self._cached, timestamp=time_ms)

    def _node_started(self, data: Mapping[str, Any]) -> Iterator[Message]:
        node = data["node_id"]
        self._current, self._types[node] = node, data["type_name"]
        yield "executing", self._about(node=node, display_node=data["shown_as"])
        yield self._state(data, "running", 0.0, 1.0)

    def _node_finished(self, data: Mapping[str, Any]) -> Iterator[Message]:
        self._executed.append(data["node_id"])
        yield self._state(data, "finished", 1.0, 1.0)
        if data.get("ui"):
            yield "executed", self._executed_data(data)

    def _executed_data(self, data: Mapping[str, Any]) -> dict[str, Any]:
        node, shown_as = data["node_id"], data["shown_as"]
        return self._about(node=node, display_node=shown_as, output=data["ui"])

    def _state(self, data: Mapping[str, Any], state: str, value: float, total: float) -> Message:
        """Only the node that changed, not all of them each time."""
        node, shown_as = data["node_id"], data["shown_as"]
        facts = {
            "value": value,
            "max": total,
            "state": state,
            "node_id": node,
            "prompt_id": self._run,
            "display_node_id": shown_as,
            "parent_node_id": shown_as if shown_as != node else None,
            "real_node_id": shown_as,
        }
        return "progress_state", self._about(nodes={node: facts})

    def _failure(self, error: Mapping[str, Any], time_ms: int) -> dict[str, Any]:
        node = error.get("node_id") or self._current
        message = " ".join(part for part in (error.get("message"), error.get("hint")) if part)
        return self._about(
            node_id=node,
            node_type=self._types.get(node or "", ""),
            executed=self._executed,
            exception_message=message,
            exception_type=error.get("details", {}).get("exception_type") or error.get("code"),
            traceback=error.get("details", {}).get("traceback", []),
            current_inputs={},
            current_outputs=[],
            timestamp=time_ms,
        )

    def _interruption(self, time_ms: int) -> dict[str, Any]:
        node = self._current
        kind = self._types.get(node or "", "")
        return self._about(node_id=node, node_type=kind, executed=self._executed, timestamp=time_ms)

    def _about(self, **facts: Any) -> dict[str, Any]:
        return {**facts, "prompt_id": self._run}
