"""comfyui-autograph 2.3."""

# pyright: reportMissingImports=false

from typing import Any

from autograph import ApiFlow, upload_image
from job import Job, digest, main, refusal, seen


def drive(job: Job) -> dict[str, object]:
    """It cannot interrupt."""
    events: list[dict[str, Any]] = []
    result = ApiFlow(job.picture).submit(
        job.url, client_id="autograph", wait=True, on_event=events.append, poll_interval=0.1
    )
    run = result.prompt_id
    (image,) = result.fetch_files(include_bytes=True)
    steps = [event["data"] for event in events if event["type"] == "progress"]
    try:
        ApiFlow(job.invalid).submit(job.url)
    except Exception as error:  # noqa: BLE001 - which it is, is not said anywhere
        invalid = refusal(error)
    else:
        invalid = ""
    return {
        "submit": run,
        "progress": [(step["value"], step["max"]) for step in steps],
        "image": digest(image["bytes"]),
        "history": seen(result["history"][run]),
        "upload": upload_image(job.image, job.url).name,
        "invalid": invalid,
    }


main(drive)
