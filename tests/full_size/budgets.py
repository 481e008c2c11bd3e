"""The smallest card on which each of the newer families runs, found by trying smaller ones.

`python -m tests.full_size.budgets` measures all, and writes them to `PAGE`; with words such as
`"Chroma, fp8"` only those whose names have one of them. Each network is asked at its own size of
pictures or texts. A card is large enough if the call ends there; as in a run, a call that found too
little memory is made again with fewer weights on the card. The next smaller card that was tried is
at most `FINEST` smaller.
"""

import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

from nodegraph.execution.weights_budget import RESERVE_SHARE, AcceleratorMemory
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.out_of_memory import is_out_of_memory
from nodegraph.runtime.residency import DeviceMemory, FixedBudget, ModelUse
from nodegraph.runtime.run_environment import RunEnvironment, use_environment
from nodegraph.runtime.run_models import RunModels
from nodes.models.networks import call_memory
from nodes.models.residency.errors import TooSmallShareError
from tests.full_size.calls import CALLS, Call
from tests.full_size.pretended_card import PretendedCard
from tests.nodes.bench import Bench

PAGE = Path(__file__).parents[2] / "benchmarks" / "results" / "budgets.md"
FINEST = 0.02
"""The share of a card that the next smaller one may lack."""
GRAIN = 10_000_000
"""Bytes that the sizes of cards are multiples of."""
_STORED = {"BF16": "bf16", "F16": "fp16", "F8_E4M3": "fp8"}


class Trial(NamedTuple):
    """What came of a call on a card; sizes in bytes."""

    runs: bool
    peak: int
    use: ModelUse
    """The models that computed, and what the plan gave the call beside them."""
    parked: int
    """Weights that waited in the machine's memory."""

    @property
    def weights(self) -> int:
        """All weights of the models."""
        return sum(model.nbytes() for model in self.use.models)

    @property
    def least(self) -> int:
        """Those of them that can not leave the card, with what the others pass through."""
        return sum(model.least_bytes for model in self.use.models)

    @property
    def planned(self) -> int:
        """The smallest card that the plan is made for: it leaves a part of it free."""
        return int((self.least + (self.use.activations or 0)) / (1 - RESERVE_SHARE))


class _NotingPool(ModelPool):
    """A pool that remembers its largest use."""

    use = ModelUse(())

    def plan(self, use: ModelUse, *, begins: bool) -> None:
        """Make room for models; see `ModelPool`."""
        if _nbytes(use) >= _nbytes(self.use):
            self.use = use
        super().plan(use, begins=begins)


def _nbytes(use: ModelUse) -> int:
    return sum(model.nbytes() for model in use.models)


@dataclass
class Search:
    """The search for the smallest card for one call, with weights of one dtype."""

    call: Call
    dtype: str
    folder: Path

    def __post_init__(self) -> None:
        self._figures = type(call_memory._figures)()
        """What calls take, which no card changes."""

    def smallest(self) -> tuple[int, Trial]:
        """Return the size of the smallest card, and what came of the call there."""
        guess = self.attempt(None, FixedBudget(0))
        size, found = self._first_that_runs(guess.peak)
        refused = 0
        while size - refused > max(FINEST * size, GRAIN):
            middle = min(self._next(size, refused, found), size - GRAIN)
            trial = self.attempt(middle)
            if trial.runs:
                size, found = middle, trial
            else:
                refused = middle
        return size, found

    @staticmethod
    def _next(size: int, refused: int, found: Trial) -> int:
        """Return a size to try below one that runs, and above one that does not."""
        if refused:
            return _grains((size + refused) / 2)
        if found.planned < 0.9 * size < found.peak:  # it takes what there is
            return max(_grains(found.planned), GRAIN)
        return _grains(min(found.peak, (1 - FINEST) * size))

    def _first_that_runs(self, size: float) -> tuple[int, Trial]:
        while not (found := self.attempt(_grains(size))).runs:
            size *= 1 + 2 * FINEST
        return _grains(size), found

    def attempt(self, card_bytes: int | None, memory: DeviceMemory | None = None) -> Trial:
        """Make the call on a card of so many bytes, by the plan for it; None: of any number."""
        with (
            PretendedCard(card_bytes) as card,
            patch.object(call_memory, "_figures", self._figures),
        ):
            pool = _NotingPool(1 << 60, memory or AcceleratorMemory())
            run = RunModels(pool, None)
            with use_environment(RunEnvironment(models=run)):
                runs = self._make(run, Bench(self.folder, models=pool))
            parked = sum(model.host_bytes for model in pool.use.models)
            found = Trial(runs, card.counts.peak_bytes, pool.use, parked)
            print(f"  {card_bytes}: {found}", file=sys.stderr, flush=True)
            run.end()
        return found

    def _make(self, run: RunModels, bench: Bench) -> bool:
        """Make the call, as an executor does if memory is short; True if it ends."""
        while not self._ends(bench):
            gc.collect()
            if not run.shrink():
                return False
        return True

    def _ends(self, bench: Bench) -> bool:
        try:
            self.call.make(self.dtype, bench)
        except TooSmallShareError:
            return False
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True


def _grains(nbytes: float) -> int:
    return -int(nbytes // -GRAIN) * GRAIN


def row(call: Call, dtype: str, folder: Path) -> str:
    """Return a call as a row of a table in Markdown."""
    size, found = Search(call, dtype, folder).smallest()
    sizes = found.weights, found.use.activations or 0, found.planned, size
    cells = [f"{each / 1e9:.2f}" for each in sizes]
    share = f"{min(found.parked / found.weights, 1):.0%}"
    return f"| {' | '.join((call.title, _STORED[dtype], *cells, share))} |"


_COLUMNS = (
    *("network, and what it is asked", "weights in", "GB of weights", "a call", "planned for"),
    *("smallest card", "parked"),
)
HEAD = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|"
TEXT = """\
# The smallest cards

GB of memory with which each network of the newer families runs, found by trying smaller cards on a
pretended one (`tests/full_size/pretended_card.py`): the real code with the real sizes, but no
numbers. The last size that ran is given; one that is 2 % (or 10 MB) smaller was too small. "A call"
is what the plan gives to a call beside the weights, by its shapes; "planned for" is the smallest
card on which the plan leaves a sixteenth free as well. Of the weights the share "parked" waits in
the machine's memory and comes for each step, or each token; rows of embeddings are looked up there.

A real card needs more: what the driver and its libraries take (some hundred MB), gaps between
tensors, and memory of convolutions. The networks of a workflow compute one after another, so that
it needs the largest number of its rows, and what its VAE needs, which decodes in tiles if memory is
short. What FluxKVCache keeps of references is beside all this, and not planned for. Networks
without a row were not measured.

Made by `python -m tests.full_size.budgets`, with words such as `"Chroma, fp8"` for single rows.
"""


def kept_rows(page: Path) -> dict[tuple[str, ...], str]:
    """Return the rows of a page by their first two cells."""
    if not page.exists():
        return {}
    lines = (line for line in page.read_text().splitlines() if line.startswith("| "))
    rows = {tuple(line.strip("| ").split(" | ")[:2]): line for line in lines}
    return {key: line for key, line in rows.items() if key != _COLUMNS[:2]}


def write(page: Path, rows: Mapping[tuple[str, ...], str]) -> None:
    """Write a page with the rows that are there, in the order of the calls."""
    order = [(call.title, _STORED[dtype]) for call in CALLS for dtype in call.dtypes]
    page.write_text("\n".join([TEXT, HEAD, *(rows[key] for key in order if key in rows), ""]))


def _named(call: Call, dtype: str) -> str:
    return f"{call.title}, {_STORED[dtype]}"


def main(words: Sequence[str]) -> None:
    """Measure the calls whose titles, with the dtype, have one of some words; all without."""
    every = ((call, dtype) for call in CALLS for dtype in call.dtypes)
    asked = [each for each in every if not words or any(word in _named(*each) for word in words)]
    with TemporaryDirectory() as folder:
        for call, dtype in asked:
            made = row(call, dtype, Path(folder))
            print(made, flush=True)
            write(PAGE, {**kept_rows(PAGE), (call.title, _STORED[dtype]): made})


if __name__ == "__main__":
    main(sys.argv[1:])
