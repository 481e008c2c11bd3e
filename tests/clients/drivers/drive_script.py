"""comfy-script 0.6."""

# pyright: reportMissingImports=false

from typing import Any

from comfy_script.runtime import Workflow, load, queue
from job import Job, main, pixels


def drive(job: Job) -> dict[str, object]:
    """It makes classes of the server's node types; it sends no files."""
    nodes: dict[str, Any] = {}
    load(job.url, vars=nodes, watch=True)
    steps: list[tuple[int, int]] = []
    with Workflow() as workflow:
        _made(nodes, job.picture)
    task = workflow.task
    task.add_progress_callback(lambda step: steps.append((step.value, step.max)))
    (batch,) = task.wait()
    with Workflow() as stopped:
        _made(nodes, job.slow)
    job.running()
    queue.cancel_current()
    stopped.task.wait()
    return {
        "submit": task.prompt_id,
        "progress": steps,
        "image": pixels(batch[0]),
        "interrupt": stopped.task.prompt_id,
    }


def _made(nodes: dict[str, Any], prompt: dict[str, Any]) -> None:
    made: dict[str, Any] = {}
    for name, node in prompt.items():
        inputs = {
            key: made[value[0]][value[1]] if isinstance(value, list) else value
            for key, value in node["inputs"].items()
        }
        outputs = nodes[node["class_type"]](**inputs)
        made[name] = outputs if isinstance(outputs, list | tuple) else (outputs,)


main(drive)
