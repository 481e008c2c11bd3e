"""The smallest card for a call is found, and the page has the rows that were measured."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.full_size.budgets import FINEST, GRAIN, PAGE, Search, kept_rows, write
from tests.full_size.calls import CALLS
from tests.nodes.bench import Bench

pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
NBYTES = 345_000_000


@dataclass(frozen=True)
class Allocating:
    """A call that needs so many bytes of the card, and no weights."""

    title: str = "a tensor"
    dtypes: tuple[str, ...] = ()
    nbytes: int = NBYTES

    def make(self, dtype: str, bench: Bench) -> None:
        torch.empty(self.nbytes, dtype=torch.uint8, device="cuda")


@pytest.mark.slow  # on the pretended card
def test_the_smallest_card_has_what_a_call_needs_and_little_more(tmp_path):
    size, found = Search(Allocating(), "BF16", tmp_path).smallest()

    assert found.runs
    assert NBYTES <= found.peak <= size
    assert size - NBYTES <= max(FINEST * size, GRAIN)


@pytest.mark.slow
def test_lotus_runs_on_a_fifth_of_its_weights_and_not_on_less(tmp_path):
    lotus = next(call for call in CALLS if call.title == "Lotus")
    search = Search(lotus, "F16", tmp_path)
    size, found = search.smallest()

    assert found.weights > 5 * size
    assert found.least < size
    assert not search.attempt(int(0.9 * size)).runs


def test_the_page_is_as_it_is_written_and_its_rows_are_calls(tmp_path):
    rows = kept_rows(PAGE)
    page = tmp_path / "budgets.md"
    write(page, rows)

    assert page.read_text() == PAGE.read_text()
    assert {title for title, _ in rows} <= {call.title for call in CALLS}


def test_rows_that_are_not_measured_again_stay(tmp_path: Path):
    page = tmp_path / "budgets.md"
    first, second = (call.title for call in CALLS[:2])
    write(page, {(second, "fp8"): f"| {second} | fp8 | 1 |"})
    write(page, {**kept_rows(page), (first, "bf16"): f"| {first} | bf16 | 2 |"})

    assert list(kept_rows(page)) == [(first, "bf16"), (second, "fp8")]
