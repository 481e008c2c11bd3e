"""Checks a Helm chart: lint, schema of the values, and each object that it renders."""

# pyright: reportMissingImports=false

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import yaml

KUBERNETES = "1.32"
WARNING = 2
CUSTOM = {
    "RayCluster": ("ray.io/v1", ("rayVersion", "headGroupSpec", "workerGroupSpecs")),
    "ScaledObject": ("keda.sh/v1alpha1", ("scaleTargetRef", "triggers")),
    "ServiceMonitor": ("monitoring.coreos.com/v1", ("selector", "endpoints")),
}
"""Kinds whose schemas are not in kubernetes-validate: the version, and keys they have to have."""


def check_chart(chart: Path, values: Mapping[str, Any] | None = None) -> list[str]:
    """Return everything wrong with a chart and what it renders from these values."""
    given = dict(values or {})
    report = helm_python.lint(chart, given, strict=True)
    found = [
        f"lint: {item['path']}: {item['error']}"
        for item in report["messages"]
        if item["severity"] >= WARNING
    ]
    try:
        objects = list(render(chart, given))
    except helm_python.HelmError as error:
        return [*found, f"helm: {error}"]
    return [
        *found,
        *(finding for each in objects for finding in _object(each)),
        *_together(objects),
    ]


def render(chart: Path, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a chart."""
    with helm_python.Chart.load(chart) as loaded:
        loaded.validate_schema(dict(values))
        rendered = loaded.render(dict(values), name="demo", namespace="images")
    for name, text in sorted(rendered.items()):
        if not name.endswith(".txt"):
            yield from (each for each in yaml.safe_load_all(text) if each)


def _object(each: Mapping[str, Any]) -> list[str]:
    kind = each["kind"]
    where = f"{kind} {each['metadata']['name']}"
    if kind in CUSTOM:
        version, keys = CUSTOM[kind]
        found = [f"{where}: no {key}" for key in keys if key not in each["spec"]]
        if each["apiVersion"] != version:
            found.append(f"{where}: apiVersion is {each['apiVersion']}, not {version}")
        return [*found, *(finding for pod in _ray_pods(each) for finding in _valid(where, pod))]
    return _valid(where, dict(each))


def _ray_pods(each: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the pod templates of a RayCluster as pods, whose schema is known."""
    if each["kind"] == "RayCluster":
        groups = [each["spec"]["headGroupSpec"], *each["spec"].get("workerGroupSpecs", ())]
        for group in groups:
            template = group["template"]
            meta = {"name": "pod", **template.get("metadata", {})}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}


def _valid(where: str, each: dict[str, Any]) -> list[str]:
    try:
        kubernetes_validate.validate(each, KUBERNETES, strict=True)
    except (
        kubernetes_validate.ValidationError,
        kubernetes_validate.SchemaNotFoundError,
        kubernetes_validate.InvalidSchemaError,
    ) as error:
        return [f"{where}: {error}"]
    return []


def _together(objects: list[dict[str, Any]]) -> list[str]:
    """Return what no schema sees: names that no object has, and too short a grace period."""
    found: list[str] = []
    claims = {
        each["metadata"]["name"] for each in objects if each["kind"] == "PersistentVolumeClaim"
    }
    for each in objects:
        if each["kind"] == "Deployment":
            found += _deployment(each["spec"]["template"]["spec"], claims)
    return found


def _deployment(pod: Mapping[str, Any], claims: set[str]) -> list[str]:
    container = pod["containers"][0]
    drain = next(
        item["value"] for item in container["env"] if item["name"] == "NODEGRAPH_SERVER_DRAIN"
    )
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    found = [
        f"the mount {mount['name']!r} has no volume"
        for mount in container["volumeMounts"]
        if mount["name"] not in volumes
    ]
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim", {}).get("claimName", "")
        if claim.startswith("demo-") and claim not in claims:
            found.append(f"the claim {claim!r} is not there")
    if pod["terminationGracePeriodSeconds"] <= float(drain):
        found.append(f"the grace period is not longer than the drain, {drain} s")
    return found
