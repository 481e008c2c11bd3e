"""A method for every node type; `methods.pyi`, made from the catalog, types those built in."""

from collections.abc import Mapping
from typing import Protocol

from nodegraph.building.outputs import Result


class Adds(Protocol):
    """Places one node of a type: its inputs by name, and perhaps its id and title."""

    def __call__(self, *, id_: str = "", title_: str = "", **inputs: object) -> Result:
        """Place it."""
        ...


class NodeMethods:
    """Node types as methods: `g.KSampler(model=model, seed=7, …)`."""

    def place(self, type_name: str, inputs: Mapping[str, object], id_: str, title_: str) -> Result:
        """Place a node, whose inputs have to be its type's."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Adds:
        """The method of a node type, whose name Python can write."""
        if name.startswith("_"):
            raise AttributeError(name)

        def add(*, id_: str = "", title_: str = "", **inputs: object) -> Result:
            return self.place(name, inputs, id_, title_)

        return add
