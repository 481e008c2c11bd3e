"""Checks endpoints and deployments of Azure ML: its own loaders, offline, and its limits."""

# pyright: reportMissingImports=false

import logging
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import yaml
from azure.ai.ml import load_online_deployment, load_online_endpoint
from azure.ai.ml.exceptions import MlException
from marshmallow.exceptions import ValidationError

ENTITIES = {
    "managedOnlineEndpoint.schema.json": load_online_endpoint,
    "managedOnlineDeployment.schema.json": load_online_deployment,
}
LONGEST_MS = 180_000
"""The longest time of a request that Azure ML takes."""
GPUS = {
    "Standard_NC4as_T4_v3",
    "Standard_NC8as_T4_v3",
    "Standard_NC16as_T4_v3",
    "Standard_NC64as_T4_v3",
    "Standard_NC24ads_A100_v4",
    "Standard_NC48ads_A100_v4",
    "Standard_NC96ads_A100_v4",
    "Standard_NC40ads_H100_v5",
    "Standard_NC80adis_H100_v5",
    "Standard_ND96asr_v4",
    "Standard_ND96amsr_A100_v4",
    "Standard_ND96isr_H100_v5",
}
"""The machines with NVIDIA GPUs on Azure ML's list for online endpoints."""


def check_azureml(path: Path) -> list[str]:
    """Return everything wrong with an endpoint or a deployment."""
    tree: dict[str, Any] = yaml.safe_load(path.read_text())
    load = ENTITIES[tree["$schema"].rpartition("/")[2]]
    try:
        with _no_network():
            load(path)
    except (MlException, ValidationError) as error:
        return [f"azure-ai-ml: {error}"]
    return _deployment(tree) if load is load_online_deployment else []


@contextmanager
def _no_network() -> Generator[None]:
    """Refuse all connections."""

    def refuse(*_args: object) -> NoReturn:
        message = "a checker wants to connect"
        raise ConnectionRefusedError(message)

    logging.getLogger("azure").setLevel(logging.ERROR)
    with patch.object(socket.socket, "connect", refuse):
        yield


def _deployment(tree: dict[str, Any]) -> list[str]:
    found: list[str] = []
    if tree["instance_type"] not in GPUS:
        found.append(f"instance_type: {tree['instance_type']!r} is no machine with a GPU")
    if tree["instance_count"] < 1:
        found.append("instance_count: at least 1")
    timeout = tree["request_settings"]["request_timeout_ms"]
    if timeout > LONGEST_MS:
        found.append(f"request_timeout_ms: {timeout} is more than {LONGEST_MS}")
    routes = tree["environment"]["inference_config"]
    if len({route["port"] for route in routes.values()}) != 1:
        found.append("inference_config: Azure ML knows one port of a container")
    mount, model = tree["model_mount_path"], tree["model"]
    place = f"{mount}/{model['name']}/{model['version']}/{Path(model['path']).name}"
    if tree["environment_variables"]["NODEGRAPH_MODELS_DIR"] != place:
        found.append(f"NODEGRAPH_MODELS_DIR: the models are mounted at {place}")
    return found
