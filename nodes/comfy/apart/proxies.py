"""Node types of a pack in an environment of its own, which ask its process."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from nodegraph.definition.context import Context
from nodegraph.definition.node import NodeType
from nodegraph.definition.pack import Pack
from nodegraph.files.files import Files
from nodegraph.graph.results import Ui
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.catalog import PackSource, read_catalog
from nodegraph.packs.routes import RoutesElsewhere
from nodes.comfy.apart.process import PackProcess
from nodes.comfy.call import CONTEXT, expansion, ui_of
from nodes.comfy.values import runtime
from nodes.comfy.values.convert import from_pack, to_pack


def proxies_of(source: PackSource, cache: Path, patience: float) -> dict[str, object]:
    """Return a pack's `PACK` and its node types, from its catalog.

    Raises:
        PackError: the pack can not be described in its environment.
    """
    catalog = read_catalog(source, cache, patience)
    process = PackProcess(source)
    if catalog.changes_prompts:
        changes = runtime.current().server.prompt_changes
        changes[source.module] = partial(_change_prompt, process)
    if catalog.routes:
        routes = RoutesElsewhere(catalog.routes, partial(_open_site, process))
        runtime.current().server.elsewhere[source.module] = routes
    pack = Pack(
        catalog.name,
        catalog.version,
        (source.module,),
        web=catalog.web,
        routes=catalog.routes,
        changes_prompts=catalog.changes_prompts,
    )
    types = (_Proxy(spec, process).as_node_type() for spec in catalog.nodes)
    return {"PACK": pack, **{f"node type {each.spec.name}": each for each in types}}


def _change_prompt(process: PackProcess, request: dict[str, Any], files: Files) -> object:
    """Return a request to run a prompt as the pack's own handlers change it."""
    return process.ask({"op": "prompt", "request": request, "owner": files.folders.owner})


def _open_site(process: PackProcess, site: str, socket: Path) -> None:
    """Have the process answer the pack's routes on a socket."""
    process.ask({"op": "site", "site": site, "socket": str(socket), "owner": ""})


@dataclass(frozen=True, slots=True)
class _Proxy:
    """Asks the process for one node type."""

    spec: NodeSpec
    process: PackProcess

    def as_node_type(self) -> NodeType[..., Any]:
        """Return the node type, whose function and callbacks ask the process."""
        return NodeType(
            self.spec,
            self.call,
            CONTEXT,
            needs=self.needs if any(each.lazy for each in self.spec.inputs) else None,
            state=self.state,
            check=self.check if self.spec.checks_inputs else None,
            takes_any_device=True,
            depends_on_id="unique_id" in self.spec.hidden,
        )

    def call(self, **inputs: object) -> object:
        """Run the node.

        Raises:
            CannotCrossError: an input or output can not cross.
            PackProcessError: the node failed, or the process died.
        """
        context = cast("Context | None", inputs.pop(CONTEXT, None))
        told = {
            "node_id": context.node_id if context else "",
            "run_id": context.run_id if context else "",
            "prompt": context.prompt if context else {},
            "extra_pnginfo": context.extra_pnginfo if context else {},
            "wants_preview": context.wants_preview if context else False,
            "preview_method": context.preview_method if context else "none",
        }
        client = runtime.current().server.clients.get(context.run_id) if context else None
        plain = {name: to_pack(value, self._socket(name)) for name, value in inputs.items()}
        question = self._question("call", context.files if context else None)
        question |= {"inputs": plain, "context": told, "client": client}
        returned = self.process.ask(question, context)
        return self._result(returned)

    def needs(self, inputs: Mapping[str, object]) -> list[str]:
        """Return the lazy inputs that are needed next."""
        plain = {name: to_pack(value, self._socket(name)) for name, value in inputs.items()}
        return list(self.process.ask(self._question("needs") | {"inputs": plain}))

    def state(self, literals: Mapping[str, object], files: Files) -> str:
        """Return the pack's text for what else changes the result."""
        return str(self.process.ask(self._question("state", files) | {"literals": literals}))

    def check(
        self, literals: Mapping[str, object], linked: Mapping[str, str], files: Files
    ) -> None:
        """Ask the pack if it refuses these inputs.

        Raises:
            PackProcessError: it does.
        """
        question = self._question("check", files)
        self.process.ask(question | {"literals": literals, "linked": linked})

    def _question(self, op: str, files: Files | None = None) -> dict[str, object]:
        return {"op": op, "type": self.spec.name, "owner": files.folders.owner if files else ""}

    def _socket(self, name: str) -> str:
        found = self.spec.input(name)
        return "*" if found is None else found.socket

    def _result(self, returned: Mapping[str, Any]) -> object:
        outputs = tuple(
            self._output(value, spec.socket, listed=spec.is_list)
            for value, spec in zip(returned["outputs"], self.spec.outputs, strict=False)
        )
        expanded = returned.get("expand")
        if expanded is not None:
            return expansion(expanded, outputs)
        if returned["ui"] is not None:
            shown: Ui = ui_of(returned["ui"], outputs)
            return shown
        if len(outputs) == 1:
            return outputs[0]
        return outputs or None

    def _output(self, value: object, socket: str, *, listed: bool) -> object:
        if listed and isinstance(value, list):
            return [from_pack(item, socket) for item in cast("list[object]", value)]
        return from_pack(value, socket)
