"""Every operation of `/v1`: its handler, what it takes and what it replies.

Where each is found is said in `server.v1.paths`, by the name of its handler.
"""

from server.sending import PICTURES, SHOWN, UNKNOWN
from server.v1 import catalog, checking, events, generate, outputs, runs
from server.v1.models import (
    EventPage,
    ModelFolders,
    ModelNames,
    NodeTypeModel,
    NodeTypes,
    Outputs,
    RunModel,
    RunPage,
    Validation,
    WorkflowModel,
)
from server.v1.operation import Operation, Reply
from server.v1.requests import (
    EventHeaders,
    EventsQuery,
    GenerateHeaders,
    ListQuery,
    RunRequest,
    SubmitHeaders,
    WorkflowRequest,
)

_RUN = Reply("The run.", RunModel)
_WHICH = {"Location": "Where the run is found.", "Nodegraph-Run": "The run's id."}

OPERATIONS = (
    Operation(
        handler=runs.create_run,
        takes=RunRequest,
        pictures=True,
        headers=SubmitHeaders,
        replies={
            201: Reply("The run is queued.", RunModel, headers=_WHICH),
            200: Reply("It was queued before: this is how it is doing.", RunModel, headers=_WHICH),
        },
    ),
    Operation(
        handler=runs.list_runs,
        query=ListQuery,
        replies={200: Reply("A page of them.", RunPage)},
    ),
    Operation(handler=runs.get_run, replies={200: _RUN}),
    Operation(
        handler=runs.delete_run,
        replies={204: Reply("It is forgotten.")},
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
            200: Reply("A page of them, or the stream.", EventPage, media=(events.STREAM,)),
            204: Reply("The run is over, and the stream has nothing more."),
        },
    ),
    Operation(
        handler=outputs.list_outputs,
        replies={200: Reply("Everything so far.", Outputs)},
    ),
    Operation(
        handler=outputs.get_output,
        replies={200: Reply("The file.", media=(*SHOWN, UNKNOWN))},
    ),
    Operation(handler=runs.cancel_run, replies={200: _RUN}),
    Operation(handler=runs.retry_run, replies={200: _RUN}),
    Operation(
        handler=generate.generate,
        takes=RunRequest,
        pictures=True,
        headers=GenerateHeaders,
        replies={
            200: Reply("The picture; or the run, if it made none.", RunModel, PICTURES, _WHICH),
            202: Reply("The run goes on.", RunModel, headers=_WHICH),
        },
    ),
    Operation(
        handler=checking.validate,
        takes=WorkflowRequest,
        pictures=True,
        replies={200: Reply("What was found.", Validation)},
    ),
    Operation(
        handler=catalog.list_node_types,
        replies={200: Reply("All of them.", NodeTypes)},
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
