"""The list of third parties names every package that constraints.txt pins, with its licence."""

import json

from tests.deploy.reading import DEPLOY, ROOT, normal, pins

SBOM = DEPLOY / "sbom/packages.cdx.json"


def components():
    return json.loads(SBOM.read_text())["components"]


def test_every_pinned_package_is_named_with_its_version():
    versions = {normal(each["name"]): each["version"].partition("+")[0] for each in components()}

    missing = {
        name: version
        for name, version in pins(ROOT / "constraints.txt").items()
        if versions.get(name) != version
    }
    assert missing == {}, "remake the list with `make sbom`"


def test_nearly_all_have_a_licence():
    without = [each["name"] for each in components() if not each.get("licenses")]

    assert len(components()) > 100
    assert len(without) <= len(components()) / 20, without


def test_it_tells_nothing_of_the_machine_that_made_it():
    text = SBOM.read_text()

    assert "file://" not in text
    assert str(ROOT) not in text
