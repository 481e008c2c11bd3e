"""How many numbers a module of a LoRA changes, from the shapes of its factors."""

from math import prod

from nodes.weights.header import Header
from nodes.weights.lora_file import Module


def size_of(header: Header, module: Module) -> int | None:
    """How many numbers the weight has that a module changes; None if it changes a bias only."""
    sizes = _Sizes(header, module)
    if "up" in module and "down" in module:
        return sizes.product("up", "down", "mid")
    if "hada_w1_a" in module and "hada_w1_b" in module:
        return sizes.product("hada_w1_a", "hada_w1_b", "hada_t1", turned=True)
    if any(part.startswith("lokr") for part in module):
        return sizes.factor(1) * sizes.factor(2)
    whole = module.get("diff") or module.get("set")
    return prod(header.shape(whole)) if whole else None


class _Sizes:
    def __init__(self, header: Header, module: Module) -> None:
        self._shapes = {part: header.shape(key) for part, key in module.items()}

    def product(self, first: str, second: str, core: str, *, turned: bool = False) -> int:
        """The size of two matrices' product, or of a Tucker decomposition.

        Args:
            first: the matrix of the outputs.
            second: that of the inputs.
            core: the part between them, if there is one.
            turned: whether around a core the first has its rank in front.
        """
        rows, columns = self._shapes[first], self._shapes[second]
        if core not in self._shapes:
            return rows[0] * prod(columns[1:])
        outputs = rows[1] if turned else rows[0]
        return outputs * columns[1] * prod(self._shapes[core][2:])

    def factor(self, number: int) -> int:
        """The size of one factor of a Kronecker product; 0 if it is not there."""
        whole = f"lokr_w{number}"
        if whole in self._shapes:
            return prod(self._shapes[whole])
        halves = (f"{whole}_a", f"{whole}_b")
        if not all(half in self._shapes for half in halves):
            return 0
        return self.product(*halves, f"lokr_t{number}", turned=True)
