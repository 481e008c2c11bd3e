"""pycomfy 0.4."""

# pyright: reportMissingImports=false

import json
from pathlib import Path

from job import Job, main, pixels, refusal
from pycomfy import ComfyAPI
from requests import HTTPError


def drive(job: Job) -> dict[str, object]:
    """It hands out pictures and nothing else."""

    def execute(prompt: object) -> list[object]:
        file.write_text(json.dumps(prompt))
        with ComfyAPI(job.url) as api:
            return api.load_workflow(str(file)).execute()

    file = Path(job.report).with_suffix(".prompt")
    (picture,) = execute(job.picture)
    try:
        execute(job.invalid)
    except HTTPError as error:
        return {"image": pixels(picture), "invalid": refusal(error)}
    return {}


main(drive)
