"""comfyui-workflow-generator 0.1."""

# pyright: reportMissingImports=false

import importlib.util
from pathlib import Path
from typing import Any

from comfyui_workflow_generator import ComfyUIWorkflowExecutor, WorkflowGenerator
from job import Job, digest, main, refusal, seen


def drive(job: Job) -> dict[str, object]:
    """It writes a module with a method for each node type of the server."""
    folder = Path(job.report).parent
    workflow = _built(folder / "workflow_api.py", job)
    executor = ComfyUIWorkflowExecutor(job.url)
    run = executor.queue_workflow(workflow)
    entry = executor.wait_for_completion(run)
    (file,) = executor.download_results(entry, str(folder))
    try:
        executor.queue_workflow(job.invalid)
    except Exception as error:  # noqa: BLE001 - it raises nothing else
        invalid = refusal(error)
    else:
        invalid = ""
    return {
        "submit": run,
        "image": digest(Path(file).read_bytes()),
        "history": seen(entry),
        "upload": executor.upload_image(job.image),
        "invalid": invalid,
    }


def _built(file: Path, job: Job) -> dict[str, Any]:
    """The picture's prompt, by way of the module that it writes."""
    WorkflowGenerator.from_url(job.url).save_to_file(str(file))
    spec = importlib.util.spec_from_file_location("workflow_api", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    graph = module.Workflow()
    made: dict[str, Any] = {}
    for name, node in job.picture.items():
        inputs = {
            key: made[value[0]][value[1]] if isinstance(value, list) else value
            for key, value in node["inputs"].items()
        }
        outputs = getattr(graph, node["class_type"])(**inputs)
        made[name] = outputs if isinstance(outputs, tuple) else (outputs,)
    return graph.workflow_dict


main(drive)
