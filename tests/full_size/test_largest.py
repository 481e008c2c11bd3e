"""The largest models that run on cards, in part: one model as a whole, in part, and not at all."""

import pytest

from tests.full_size.largest import Model, read_model, scaled

pytestmark = [
    pytest.mark.slow,  # on the pretended card: minutes on two cores
    pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor"),
]
CARD = 8.2e9


@pytest.fixture(scope="module")
def sd15(tmp_path_factory) -> Model:
    return read_model(tmp_path_factory.mktemp("models"), "sd15")


def test_a_model_is_whole_streamed_or_refused_by_what_a_card_has(sd15):
    assert 1.7e9 < sd15.nbytes < 1.75e9
    assert 0.1e9 < sd15.beside < 0.2e9
    fates = [sd15.fate(card) for card in (CARD, 1.5e9, 0.1e9)]

    assert fates[0] == "whole"
    assert fates[1].endswith("GB a step")
    assert fates[2] == "refused"


@pytest.mark.slow
def test_more_blocks_are_streamed_on_any_card_and_too_wide_ones_refused(tmp_path):
    flux = read_model(tmp_path, "flux_dev")

    assert flux.fate(CARD).endswith("GB a step")
    assert scaled(flux, depth=8).fate(CARD).endswith("GB a step")
    assert scaled(flux, width=8).fate(CARD) == "refused"
