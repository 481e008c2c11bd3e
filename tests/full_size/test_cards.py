"""FLUX.1-dev on pretended cards of 80 to 8 GB: it runs on each, and nothing is refused."""

import pytest

from tests.full_size.cards import CARDS, VARIANTS, run, write_files


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("world") / "models")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_flux_runs_on_a_card(models, card, variant):
    found = run(models, card, variant)

    print(found.row())
    assert (found.failure, found.refusals) == ("", 0)
    assert found.peak <= CARDS[card]
