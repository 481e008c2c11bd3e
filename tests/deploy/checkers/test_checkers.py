"""The files of deploy/ pass the checkers of their formats, and planted mistakes do not."""

# pyright: reportMissingImports=false

import shutil
from functools import partial

import pytest

from tests.deploy.checkers.chart import check_chart
from tests.deploy.checkers.files import CHART, CHECKS, DEPLOY, example, write_rendered
from tests.deploy.checkers.mistakes import MISTAKES, POLICY_MISTAKES
from tests.deploy.checkers.policies import check_policies

pytestmark = pytest.mark.deploy


@pytest.mark.parametrize(
    ("name", "values"), [(name, values) for name, checks in CHECKS.items() for values in checks]
)
def test_a_file_passes(name, values):
    assert CHECKS[name][values](DEPLOY / name) == []


def plant(mistake, folder):
    """A copy of the mistake's file, or of its chart, with the mistake in it."""
    source = DEPLOY / mistake.name
    target = folder / mistake.name
    if source.is_dir():
        shutil.copytree(source, target)
        changed = target / mistake.file
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        changed = shutil.copy(source, target)
    text = changed.read_text()
    assert mistake.right in text, "the file has changed: plant this mistake elsewhere"
    changed.write_text(text.replace(mistake.right, mistake.wrong, 1))
    return target


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.says)
def test_a_mistake_is_caught(mistake, tmp_path):
    check = CHECKS[mistake.name][""]
    if mistake.example:
        check = partial(check_chart, values=example(mistake.example) | mistake.values)
    found = check(plant(mistake, tmp_path))

    print(f"caught: {mistake.says}: {found}")
    assert any(mistake.finding in finding for finding in found), found


def test_policies_hold_and_mistakes_against_them_are_caught(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
    for name in ("docker/Dockerfile", "azureml/autoscale.bicep", "containerapps/main.bicep"):
        shutil.copy(DEPLOY / name, good / f"good.{name.rpartition('/')[2]}")
    for name in ("one-gpu", "fleet", "ray"):
        write_rendered(DEPLOY / CHART, name, good / f"good.{name}.yaml")
    planted = {
        mistake: plant(mistake, bad / str(number)) for number, mistake in enumerate(POLICY_MISTAKES)
    }
    for number, (mistake, target) in enumerate(planted.items()):
        if mistake.name == CHART:
            write_rendered(target, mistake.example, bad / f"bad-{number}.yaml")
            shutil.rmtree(target)
        else:
            target.rename(bad / f"bad-{number}.{target.name}")
    found = check_policies(tmp_path)

    assert {name: each for name, each in found.items() if name.startswith("good")} == {}
    for number, mistake in enumerate(planted):
        caught = [
            text
            for name, texts in found.items()
            if name.startswith(f"bad-{number}")
            for text in texts
        ]
        print(f"caught: {mistake.says}: {caught}")
        assert any(mistake.finding in text for text in caught), (mistake, found)
