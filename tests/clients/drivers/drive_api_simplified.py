"""comfy-api-simplified 1.6."""

# pyright: reportMissingImports=false

import asyncio
import threading

from comfy_api_simplified import ComfyApiError, ComfyApiWrapper, ComfyWorkflowWrapper
from job import Job, digest, main, refusal, seen


def drive(job: Job) -> dict[str, object]:
    """It opens its socket after it has submitted, and tells nothing of steps."""
    api = ComfyApiWrapper(job.url)
    run, _frames = asyncio.run(api.queue_prompt_and_wait(ComfyWorkflowWrapper(job.picture)))
    history = api.get_history(run)[run]
    (image,) = next(iter(history["outputs"].values()))["images"]
    data = api.get_image(image["filename"], image["subfolder"], image["type"])
    name = api.upload_image(job.image, subfolder="")["name"]
    return {
        "submit": run,
        "image": digest(data),
        "history": seen(history),
        "upload": name,
        "interrupt": _interrupted(api, job),
        "invalid": _refused(api, job),
    }


def _interrupted(api: ComfyApiWrapper, job: Job) -> str:
    threading.Thread(target=lambda: (job.running(), api.interrupt())).start()
    run, _frames = asyncio.run(api.queue_prompt_and_wait(job.slow))
    return run


def _refused(api: ComfyApiWrapper, job: Job) -> str:
    try:
        api.queue_prompt(job.invalid)
    except ComfyApiError as error:
        return refusal(error)
    return ""


main(drive)
