"""comfy-lint 0.1."""

# pyright: reportMissingImports=false

from comfy_lint import lint_workflow, load_schema
from job import Job, main


def drive(job: Job) -> dict[str, object]:
    """It runs nothing: it holds a prompt against the node types; it knows no ranges."""
    schema = load_schema(job.url)
    assert not lint_workflow(job.picture, schema)
    job.picture["1"]["inputs"]["ckpt_name"] = "nothing.safetensors"
    (problem,) = lint_workflow(job.picture, schema)
    return {"invalid": str(problem)}


main(drive)
