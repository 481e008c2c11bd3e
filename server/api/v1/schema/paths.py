"""The paths of `/v1`, in one list that costs nothing to import.

The server adds its routes from this list when it starts. The handlers, their models and pydantic,
which take a tenth of a second to import, are imported at the first request.
"""

from collections.abc import Mapping

from server.web.security import SCORE

ROOT = "/v1"
DOCUMENT = "/openapi.json"
"""The path of the OpenAPI document."""
PAGE = "/v1/docs"
"""The path of the documentation page."""

PATHS: Mapping[str, tuple[str, str]] = {
    "create_run": ("POST", "/v1/runs"),
    "list_runs": ("GET", "/v1/runs"),
    "get_run": ("GET", "/v1/runs/{run}"),
    "delete_run": ("DELETE", "/v1/runs/{run}"),
    "get_run_workflow": ("GET", "/v1/runs/{run}/workflow"),
    "list_events": ("GET", "/v1/runs/{run}/events"),
    "list_outputs": ("GET", "/v1/runs/{run}/outputs"),
    "get_output": ("GET", "/v1/runs/{run}/outputs/{number}"),
    "cancel_run": ("POST", "/v1/runs/{run}/cancel"),
    "retry_run": ("POST", "/v1/runs/{run}/retry"),
    "generate": ("POST", "/v1/generate"),
    "score": ("POST", SCORE),
    "validate": ("POST", "/v1/validate"),
    "list_node_types": ("GET", "/v1/node-types"),
    "get_node_type": ("GET", "/v1/node-types/{name}"),
    "list_models": ("GET", "/v1/models"),
    "list_folder": ("GET", "/v1/models/{folder}"),
}
"""The method and path of each operation, by the name of its handler; see `operations`."""
