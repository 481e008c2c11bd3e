"""All operations of `/v1`: their handlers, the models they take, and their replies.

Their methods and paths are in `server.api.v1.schema.paths`, by the name of the handler.
"""

from server.api.v1.handlers import (
    catalog,
    events,
    generate,
    outputs,
    runs,
    score,
    validate,
)
from server.api.v1.schema.models import (
    EventPage,
    ModelFolders,
    ModelNames,
    NodeTypeModel,
    NodeTypes,
    Outputs,
    RunModel,
    RunPage,
    Score,
    Validation,
    WorkflowModel,
)
from server.api.v1.schema.operation import Operation, Reply
from server.api.v1.schema.requests import (
    EventHeaders,
    EventsQuery,
    GenerateHeaders,
    ListQuery,
    RunRequest,
    ScoreHeaders,
    ScoreRequest,
    SubmitHeaders,
    WorkflowRequest,
)
from server.web.file_responses import DISPLAYABLE, PICTURES, UNKNOWN

_RUN = Reply("The run.", RunModel)
_WHICH = {"Location": "The path of the run.", "Nodegraph-Run": "The id of the run."}
_LATER = "The seconds after which it may be asked for again."

OPERATIONS = (
    Operation(
        handler=runs.create_run,
        takes=RunRequest,
        pictures=True,
        headers=SubmitHeaders,
        replies={
            201: Reply("The run is queued.", RunModel, headers=_WHICH),
            200: Reply("The run was submitted before.", RunModel, headers=_WHICH),
        },
    ),
    Operation(
        handler=runs.list_runs,
        query=ListQuery,
        replies={200: Reply("A page of runs.", RunPage)},
    ),
    Operation(handler=runs.get_run, replies={200: _RUN}),
    Operation(
        handler=runs.delete_run,
        replies={204: Reply("The run is deleted.")},
    ),
    Operation(
        handler=runs.get_run_workflow,
        replies={200: Reply("The workflow.", WorkflowModel)},
    ),
    Operation(
        handler=events.list_events,
        query=EventsQuery,
        headers=EventHeaders,
        replies={
            200: Reply("A page of events, or the stream.", EventPage, media=(events.STREAM,)),
            204: Reply("The run is over, and there are no more events."),
        },
    ),
    Operation(
        handler=outputs.list_outputs,
        replies={200: Reply("All outputs so far.", Outputs)},
    ),
    Operation(
        handler=outputs.get_output,
        replies={200: Reply("The file.", media=(*DISPLAYABLE, UNKNOWN))},
    ),
    Operation(handler=runs.cancel_run, replies={200: _RUN}),
    Operation(handler=runs.retry_run, replies={200: _RUN}),
    Operation(
        handler=generate.generate,
        takes=RunRequest,
        pictures=True,
        headers=GenerateHeaders,
        replies={
            200: Reply("The image; or the run, if it made none.", RunModel, PICTURES, _WHICH),
            202: Reply("The run continues.", RunModel, headers=_WHICH),
        },
    ),
    Operation(
        handler=score.score,
        takes=ScoreRequest,
        headers=ScoreHeaders,
        replies={
            200: Reply("The files that the run made; or its first image.", Score, PICTURES, _WHICH),
            202: Reply("The run continues.", Score, headers={**_WHICH, "Retry-After": _LATER}),
        },
    ),
    Operation(
        handler=validate.validate,
        takes=WorkflowRequest,
        pictures=True,
        replies={200: Reply("The problems and warnings.", Validation)},
    ),
    Operation(
        handler=catalog.list_node_types,
        replies={200: Reply("All node types.", NodeTypes)},
    ),
    Operation(
        handler=catalog.get_node_type,
        replies={200: Reply("The node type.", NodeTypeModel)},
    ),
    Operation(
        handler=catalog.list_models,
        replies={200: Reply("The folders.", ModelFolders)},
    ),
    Operation(
        handler=catalog.list_folder,
        replies={200: Reply("The models.", ModelNames)},
    ),
)
