"""What can be wrong with how a workflow samples; imports no torch."""

from nodegraph.errors import NodeGraphError


class WrongNetworkError(NodeGraphError):
    """Something is to be changed inside of a network that has no such thing."""

    code = "wrong_network"

    def __init__(self, what: str, wanted: str) -> None:
        super().__init__(
            f"{what} is for {wanted}, which this model is not.",
            hint="Take the node out, or use another model.",
        )


class CannotCompileError(NodeGraphError):
    """A network is to be compiled where that is not possible."""

    code = "cannot_compile"

    def __init__(self, backend: str, needed: str) -> None:
        super().__init__(
            f"the backend {backend!r} needs {needed}, and there is none.",
            hint="Use the other backend, or take the node out.",
        )
