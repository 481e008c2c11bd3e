"""The files of deploy/ and the checker of each."""

# pyright: reportMissingImports=false

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import yaml

from tests.deploy.checkers.azureml import check_azureml
from tests.deploy.checkers.bicep import check_bicep
from tests.deploy.checkers.chart import check_chart, render
from tests.deploy.checkers.compose import check_compose
from tests.deploy.checkers.dockerfile import check_dockerfile
from tests.deploy.checkers.promql import check_promql

Checker = Callable[[Path], list[str]]

DEPLOY = Path(__file__).parents[3] / "deploy"
CHART = "kubernetes/nodegraph"
EXAMPLES = DEPLOY / "kubernetes/examples"


def example(name: str) -> dict[str, object]:
    """Return the values of an example of the chart."""
    return yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())


CHECKS: Mapping[str, Mapping[str, Checker]] = {
    "docker/Dockerfile": {"": check_dockerfile},
    "compose/compose.yaml": {"": check_compose},
    "compose/compose.cuda.yaml": {"": check_compose},
    "azureml/endpoint.yml": {"": check_azureml},
    "azureml/deployment.yml": {"": check_azureml},
    "azureml/autoscale.bicep": {"": check_bicep},
    "containerapps/main.bicep": {"": check_bicep},
    "monitoring/dashboard.json": {"": check_promql},
    "monitoring/alerts.yml": {"": check_promql},
    CHART: {
        "": check_chart,
        **{
            path.stem: partial(check_chart, values=example(path.stem))
            for path in sorted(EXAMPLES.glob("*.yaml"))
        },
    },
}
"""The checkers of each file by its path in deploy/; a chart has one for each example of values."""


def write_rendered(chart: Path, name: str, path: Path) -> None:
    """Write what a chart renders from an example, for checkers of plain files."""
    path.write_text(yaml.safe_dump_all(render(chart, example(name))))
