"""Mistakes to plant in copies of the files of deploy/, and what has to be found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.deploy.checkers.files import CHART


@dataclass(frozen=True, eq=False)
class Mistake:
    """A change to a file, or to a file of a chart, and a part of what a checker says about it."""

    says: str
    name: str
    right: str
    wrong: str
    finding: str
    file: str = ""
    example: str = ""
    values: Mapping[str, object] = field(default_factory=dict[str, object])


DOCKERFILE = "docker/Dockerfile"
COMPOSE = "compose/compose.yaml"
ENDPOINT = "azureml/endpoint.yml"
DEPLOYMENT = "azureml/deployment.yml"
AUTOSCALE = "azureml/autoscale.bicep"
APP = "containerapps/main.bicep"

MISTAKES = (
    Mistake("no version of a package", DOCKERFILE, "tini=0.19.*", "tini", "DL3008"),
    Mistake("root", DOCKERFILE, "USER 10001:10001", "USER root", "DL3002"),
    Mistake("wheels without hashes", DOCKERFILE, "--require-hashes ", "", "--require-hashes"),
    Mistake("no signal", DOCKERFILE, "STOPSIGNAL SIGTERM", "", "no STOPSIGNAL"),
    Mistake(
        "models in the image",
        DOCKERFILE,
        "COPY NOTICE LICENSE",
        "COPY models/ /models\nCOPY NOTICE LICENSE",
        "baked in",
    ),
    Mistake("a key of compose is misspelt", COMPOSE, "depends_on:", "depend_on:", "depend_on"),
    Mistake(
        "a service that is not there",
        COMPOSE,
        "      postgres:\n        condition",
        "      postgre:\n        condition",
        "'postgre'",
    ),
    Mistake(
        "a volume that is not declared", COMPOSE, "- cache:/cache", "- caches:/cache", "'caches'"
    ),
    Mistake(
        "a port for every network", COMPOSE, "127.0.0.1:8188:8188", "8188:8188", "every network"
    ),
    Mistake(
        "a root that is written to",
        COMPOSE,
        "read_only: true\n    tmpfs",
        "read_only: false\n    tmpfs",
        "read_only",
    ),
    Mistake(
        "an endpoint without a known login",
        ENDPOINT,
        "auth_mode: key",
        "auth_mode: none",
        "auth_mode",
    ),
    Mistake(
        "a key of Azure ML is misspelt",
        DEPLOYMENT,
        "instance_count:",
        "instances_count:",
        "instances_count",
    ),
    Mistake(
        "a probe's key is misspelt", DEPLOYMENT, "failure_threshold: 10", "failures: 10", "failures"
    ),
    Mistake(
        "a machine that Azure ML has not",
        DEPLOYMENT,
        "Standard_NC4as_T4_v3\ninstance",
        "Standard_NC5as_T4_v3\ninstance",
        "no machine",
    ),
    Mistake(
        "a request that is too long",
        DEPLOYMENT,
        "request_timeout_ms: 180000",
        "request_timeout_ms: 999999",
        "180000",
    ),
    Mistake(
        "two ports",
        DEPLOYMENT,
        "path: /score\n      port: 8188",
        "path: /score\n      port: 8189",
        "one port",
    ),
    Mistake(
        "models elsewhere",
        DEPLOYMENT,
        "/models/nodegraph-models/1/models",
        "/models",
        "are mounted at",
    ),
    Mistake("broken Bicep", AUTOSCALE, "  properties: {", "  properties: {{", "pycep"),
    Mistake(
        "a symbol that is not declared",
        AUTOSCALE,
        "string(minInstances)",
        "string(fewestInstances)",
        "'fewestInstances' is not declared",
    ),
    Mistake(
        "a property of a rule is misspelt",
        AUTOSCALE,
        "timeWindow: 'PT5M'",
        "timeWindows: 'PT5M'",
        "timeWindows",
    ),
    Mistake(
        "a property of an app is misspelt",
        APP,
        "targetPort: port",
        "targetPorts: port",
        "targetPorts",
    ),
    Mistake(
        "an undeclared resource",
        APP,
        "environmentId: environment.id",
        "environmentId: env.id",
        "'env' is not declared",
    ),
    Mistake(
        "a secret in plain sight",
        APP,
        "@secure()\n@minLength(16)\nparam token",
        "@minLength(16)\nparam token",
        "not @secure()",
    ),
    Mistake(
        "a probe beyond the limits",
        APP,
        "failureThreshold: 10",
        "failureThreshold: 60",
        "at most 10",
    ),
    Mistake(
        "an expression that is none",
        "monitoring/dashboard.json",
        "sum by (status) (rate(",
        "sum by status (rate((",
        "Runs that end",
    ),
    Mistake(
        "a rule that is no expression",
        "monitoring/alerts.yml",
        "absent(nodegraph_queue_depth)",
        "absent(nodegraph_queue_depth",
        "NodegraphDown",
    ),
    Mistake(
        "a template that does not end", CHART, "{{- end }}", "", "lint", "templates/monitoring.yaml"
    ),
    Mistake(
        "a type of a field",
        CHART,
        "containerPort: 8188",
        'containerPort: "8188"',
        "Deployment",
        "templates/server.yaml",
    ),
    Mistake(
        "a field that Kubernetes has not",
        CHART,
        "periodSeconds: 20",
        "everySeconds: 20",
        "everySeconds",
        "templates/server.yaml",
    ),
    Mistake(
        "a mount without a volume",
        CHART,
        "- name: shm\n  emptyDir",
        "- name: shared\n  emptyDir",
        "'shm'",
        "templates/_helpers.tpl",
    ),
    Mistake(
        "too short a grace period",
        CHART,
        "add .Values.drainSeconds 30",
        "sub .Values.drainSeconds 30",
        "grace period",
        "templates/server.yaml",
    ),
    Mistake(
        "a value that is not known",
        CHART,
        "# The",
        "# the",
        "replica",
        "values.yaml",
        "one-gpu",
        {"replica": 2},
    ),
    Mistake(
        "several servers on SQLite",
        CHART,
        "# The",
        "# the",
        "database.existingSecret",
        "values.yaml",
        "one-gpu",
        {"replicas": 2},
    ),
    Mistake(
        "a wrong field in a pod of Ray",
        CHART,
        "automountServiceAccountToken: {{ eq",
        "automountToken: {{ eq",
        "automountToken",
        "templates/raycluster.yaml",
        "ray",
    ),
    Mistake(
        "a RayCluster without workers",
        CHART,
        "workerGroupSpecs:",
        "workerGroups:",
        "workerGroup",
        "templates/raycluster.yaml",
        "ray",
    ),
)

POLICY_MISTAKES = (
    Mistake("no check of health", DOCKERFILE, "HEALTHCHECK", "# HEALTHCHECK", "CKV_DOCKER_2"),
    Mistake(
        "a container that may become root",
        CHART,
        "allowPrivilegeEscalation: false",
        "allowPrivilegeEscalation: true",
        "CKV_K8S_20",
        "templates/_helpers.tpl",
        "fleet",
    ),
    Mistake("an old TLS", APP, "TLS1_2", "TLS1_0", "CKV_AZURE_44"),
)
"""Mistakes that only checkov sees."""
