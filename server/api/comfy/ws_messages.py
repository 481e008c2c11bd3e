"""Translates the events of a run to ComfyUI's WebSocket messages."""

from collections.abc import Iterator, Mapping
from typing import Any

Message = tuple[str, dict[str, Any]]


class Translator:
    """Translates the events of one run, in order.

    Args:
        run: the run's id, which ComfyUI calls the prompt's.
    """

    def __init__(self, run: str) -> None:
        self.counts_nodes = False
        """True for a client that counts the nodes that it hears are done, as the editor does."""
        self._run = run
        self._started = False
        self._reset()

    def _reset(self) -> None:
        """Forget all events, at the start and when another worker repeats the run."""
        self._cached: dict[str, None] = {}
        self._cached_outputs: list[Message] = []
        self._announced = False
        self._executed: list[str] = []
        self._types: dict[str, str] = {}
        self._current: str | None = None

    def milestone(self, name: str, data: Mapping[str, Any], time_ms: int) -> Iterator[Message]:
        """Yield the messages for an event."""
        match name:
            case "run_started":
                self._reset()
                self._started = True
                yield "execution_start", self._with_prompt_id(timestamp=time_ms)
            case "run_planned":
                self._cached.update(dict.fromkeys(data.get("spared", ())))
                yield from self._announce_cached(time_ms)
            case "node_cached":
                yield from self._node_cached(data, time_ms)
            case "node_started":
                yield from self._announce_cached(time_ms)
                yield from self._node_started(data)
            case "node_finished":
                yield from self._node_finished(data, time_ms)
            case "run_cancelled" if not self._started:
                pass  # it never left the queue: ComfyUI sends nothing
            case "run_finished" | "run_failed" | "run_cancelled":
                yield from self._announce_cached(time_ms)
                yield self._end(name, data.get("error") or {}, time_ms)
                yield "executing", self._with_prompt_id(node=None)
            case _:
                pass

    def progress(self, data: Mapping[str, Any]) -> Iterator[Message]:
        """Yield the messages about a node's progress."""
        node = data["node_id"]
        value, total = data["value"], data["total"]
        yield "progress", self._with_prompt_id(value=value, max=total, node=node)
        yield self._state(data, "running", value, total)

    def _node_cached(self, data: Mapping[str, Any], time_ms: int) -> Iterator[Message]:
        """Collect cached nodes until the first one runs; yield a message for each later one."""
        node = data["node_id"]
        outputs: list[Message] = [("executed", self._executed_data(data))] if data.get("ui") else []
        if not self._announced:
            self._cached[node] = None
            self._cached_outputs += outputs
            return
        if node not in self._cached:
            yield "execution_cached", self._with_prompt_id(nodes=[node], timestamp=time_ms)
        yield from outputs

    def _announce_cached(self, time_ms: int) -> Iterator[Message]:
        """Yield the message with all cached nodes, or none, before the first node runs."""
        if not self._announced:
            self._announced = True
            yield (
                "execution_cached",
                self._with_prompt_id(nodes=list(self._cached), timestamp=time_ms),
            )
            yield from self._cached_outputs

    def _node_started(self, data: Mapping[str, Any]) -> Iterator[Message]:
        node = data["node_id"]
        self._current, self._types[node] = node, data["type_name"]
        yield "executing", self._with_prompt_id(node=node, display_node=data["shown_as"])
        yield self._state(data, "running", 0.0, 1.0)

    def _node_finished(self, data: Mapping[str, Any], time_ms: int) -> Iterator[Message]:
        """Yield the messages for a node that is done.

        The editor's total counts nodes that were executed or cached, and `executed` is only told
        of nodes with something to show. So it hears of the others that they are cached by now.
        """
        node = data["node_id"]
        self._executed.append(node)
        yield self._state(data, "finished", 1.0, 1.0)
        if data.get("ui"):
            yield "executed", self._executed_data(data)
        elif self.counts_nodes and node == data["shown_as"]:
            yield "execution_cached", self._with_prompt_id(nodes=[node], timestamp=time_ms)

    def _executed_data(self, data: Mapping[str, Any]) -> dict[str, Any]:
        node, shown_as = data["node_id"], data["shown_as"]
        return self._with_prompt_id(node=node, display_node=shown_as, output=data["ui"])

    def _state(self, data: Mapping[str, Any], state: str, value: float, total: float) -> Message:
        """Return a progress message with only the node that changed."""
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
        return "progress_state", self._with_prompt_id(nodes={node: facts})

    def _end(self, name: str, error: Mapping[str, Any], time_ms: int) -> Message:
        if name == "run_finished":
            return "execution_success", self._with_prompt_id(timestamp=time_ms)
        node = error.get("node_id") or self._current
        facts = self._with_prompt_id(
            node_id=node,
            node_type=self._type(node, error),
            executed=list(self._executed),
            timestamp=time_ms,
        )
        if name == "run_cancelled":
            return "execution_interrupted", facts
        return "execution_error", {
            **facts,
            **_failure(error),
            "current_outputs": self._finished_nodes(),
        }

    def _type(self, node: str | None, error: Mapping[str, Any]) -> str:
        kind = self._types.get(node or "") or error.get("details", {}).get("class_type")
        return str(kind or "")

    def _finished_nodes(self) -> list[str]:
        """Return the nodes that were computed or cached."""
        return list(dict.fromkeys((*self._cached, *self._executed)))

    def _with_prompt_id(self, **facts: Any) -> dict[str, Any]:
        return {**facts, "prompt_id": self._run}


def _failure(error: Mapping[str, Any]) -> dict[str, Any]:
    details: Mapping[str, Any] = error.get("details", {})
    return {
        "exception_message": " ".join(filter(None, (error.get("message"), error.get("hint")))),
        "exception_type": details.get("exception_type") or error.get("code", ""),
        "traceback": details.get("traceback", []),
        "current_inputs": details.get("current_inputs", {}),
    }
