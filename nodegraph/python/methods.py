"""A method for every node type; `methods.pyi`, made from the catalog, types those built in."""

from collections.abc import Mapping
from typing import Protocol

from nodegraph.python.outputs import Result


class Adds(Protocol):
    """The method of a node type: takes inputs by name, and if wanted the node's id and title."""

    def __call__(self, *, id_: str = "", title_: str = "", **inputs: object) -> Result:
        """Place a node and return its outputs."""
        ...


class NodeMethods:
    """Node types as methods: `g.KSampler(model=model, seed=7, …)`."""

    def place(self, type_name: str, inputs: Mapping[str, object], id_: str, title_: str) -> Result:
        """Place a node, whose inputs have to be its type's."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Adds:
        """Return the method of the node type `name`."""
        if name.startswith("_"):
            raise AttributeError(name)

        def add(*, id_: str = "", title_: str = "", **inputs: object) -> Result:
            return self.place(name, inputs, id_, title_)

        return add
