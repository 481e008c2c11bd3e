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
        self._started = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Know nothing yet; also where another worker begins the run again."""
        self._cached: dict[str, None] = {}
        self._shown: list[Message] = []
        self._begun = False
        self._executed: list[str] = []
        self._types: dict[str, str] = {}
        self._current: str | None = None

    def milestone(self, name: str, data: Mapping[str, Any], time_ms: int) -> Iterator[Message]:
        """The messages that an event becomes."""
        match name:
            case "run_started":
                self._begin_anew()
                self._started = True
                yield "execution_start", self._about(timestamp=time_ms)
            case "run_planned":
                self._cached.update(dict.fromkeys(data.get("spared", ())))
                yield from self._begin(time_ms)
            case "node_cached":
                yield from self._node_cached(data, time_ms)
            case "node_started":
                yield from self._begin(time_ms)
                yield from self._node_started(data)
            case "node_finished":
                yield from self._node_finished(data)
            case "run_cancelled" if not self._started:
                pass  # it never left the queue, and ComfyUI says nothing of such
            case "run_finished" | "run_failed" | "run_cancelled":
                yield from self._begin(time_ms)
                yield self._end(name, data.get("error") or {}, time_ms)
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
        shown: list[Message] = [("executed", self._executed_data(data))] if data.get("ui") else []
        if not self._begun:
            self._cached[node] = None
            self._shown += shown
            return
        if node not in self._cached:
            yield "execution_cached", self._about(nodes=[node], timestamp=time_ms)
        yield from shown

    def _begin(self, time_ms: int) -> Iterator[Message]:
        """Clients want to hear of the cached nodes, even of none, before anything runs."""
        if not self._begun:
            self._begun = True
            yield "execution_cached", self._about(nodes=list(self._cached), timestamp=time_ms)
            yield from self._shown

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

    def _end(self, name: str, error: Mapping[str, Any], time_ms: int) -> Message:
        if name == "run_finished":
            return "execution_success", self._about(timestamp=time_ms)
        node = error.get("node_id") or self._current
        facts = self._about(
            node_id=node,
            node_type=self._type(node, error),
            executed=list(self._executed),
            timestamp=time_ms,
        )
        if name == "run_cancelled":
            return "execution_interrupted", facts
        return "execution_error", {**facts, **_failure(error), "current_outputs": self._done()}

    def _type(self, node: str | None, error: Mapping[str, Any]) -> str:
        kind = self._types.get(node or "") or error.get("details", {}).get("class_type")
        return str(kind or "")

    def _done(self) -> list[str]:
        """The nodes whose results are there."""
        return list(dict.fromkeys((*self._cached, *self._executed)))

    def _about(self, **facts: Any) -> dict[str, Any]:
        return {**facts, "prompt_id": self._run}


def _failure(error: Mapping[str, Any]) -> dict[str, Any]:
    details: Mapping[str, Any] = error.get("details", {})
    return {
        "exception_message": " ".join(filter(None, (error.get("message"), error.get("hint")))),
        "exception_type": details.get("exception_type") or error.get("code", ""),
        "traceback": details.get("traceback", []),
        "current_inputs": details.get("current_inputs", {}),
    }
