"""The reference's workflows through a server whose worker is on the simulated device.

`pytest -m "" -rP tests/simulated_device/test_served.py` shows what a step of each costs.
"""

import json

import pytest

from tests.parity.test_end_to_end import INPUT, WORKFLOWS, check_files
from tests.server.serving import picture
from tests.simulated_device.served import files_of, serving_device
from tests.tiny_models.checkpoints import tiny_models, tiny_root

DEFAULT = {("flux", "schnell_txt2img")}
"""Cases that run by default."""
FEW, MANY = 1, 3
"""Steps beside those of a workflow, to see what a step costs."""
KINDS = ("ops", "copies_to_host", "syncs", "copies_to_device")


@pytest.fixture(scope="module")
def server(loaded_device, tmp_path_factory):
    flags = ["--models-dir", str(tiny_root() / "models"), "--input-dir", str(INPUT)]
    with serving_device(tmp_path_factory.mktemp("server"), flags) as running:
        yield running


def lengthen(workflow, more):
    """The workflow with more steps."""
    made = json.loads(json.dumps(workflow))
    for node in made.values():
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] += more
    return made


@pytest.mark.parametrize(
    ("family", "name"),
    [pytest.param(*case, marks=() if case in DEFAULT else pytest.mark.slow) for case in WORKFLOWS],
)
def test_a_worker_makes_what_the_reference_makes_and_no_step_waits(server, family, name):
    workflow = WORKFLOWS[family, name]
    tiny_models(json.dumps(workflow))

    history = server.done(workflow)

    check_files(
        family, name, files_of(server, history, "latents"), files_of(server, history, "images")
    )
    few, many = (spent(server, lengthen(workflow, more)) for more in (FEW, MANY))
    print(f"{family} {name}: {few}; with {MANY - FEW} more steps: {many}")
    assert (many["copies_to_host"], many["syncs"]) == (few["copies_to_host"], few["syncs"])


def spent(server, prompt):
    """What the device counted while a prompt was run."""
    before = server.counters()
    server.done(prompt)
    after = server.counters()
    return {kind: getattr(after, kind) - getattr(before, kind) for kind in KINDS}


def sampled_by(sampler, steps):
    prompt = picture(steps=steps)
    for node in prompt.values():
        if "sampler_name" in node["inputs"]:
            node["inputs"]["sampler_name"] = sampler
    return prompt


def test_a_step_takes_nothing_to_the_host_and_waits_for_nothing(server):
    server.done(picture())  # loads the model
    for sampler in ("euler", "dpmpp_2m_sde"):
        few, many = (spent(server, sampled_by(sampler, steps)) for steps in (3, 9))

        assert many["ops"] > few["ops"]
        assert (many["copies_to_host"], many["syncs"]) == (few["copies_to_host"], few["syncs"])
