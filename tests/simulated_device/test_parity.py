"""Whole workflows on the simulated device against the reference's latents and pictures.

Each model's weights, latents and conditions cross the link as they would on a real device;
`pytest -m "" -rP tests/simulated_device/test_parity.py` shows how often for each case.
"""

import pytest

from tests.parity.test_end_to_end import WORKFLOWS, check_workflow, new_engine

DEFAULT = {
    ("sd15", "lora_0.8"),
    ("sd15", "vae_decode_tiled"),
}
"""Cases that run by default; one more does through a server, in `test_served.py`.

No SD 2.1 and no SDXL: on a device they differ from SD 1.5 in nothing but their size.
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return new_engine(tmp_path_factory.mktemp("results"))


@pytest.mark.parametrize(
    ("family", "name"),
    [pytest.param(*case, marks=() if case in DEFAULT else pytest.mark.slow) for case in WORKFLOWS],
)
def test_a_workflow_makes_what_the_reference_makes(simulated, engine, family, name):
    check_workflow(engine, family, name)

    counted = simulated.counters()
    print(f"{family} {name}: {counted}")
    assert counted.ops > 100
    assert counted.copies_to_host > 0
