"""comfy-toolkit 0.1."""

# pyright: reportMissingImports=false

from comfy_toolkit import ComfyClient, ComfyExecutionError, ComfySubmitError
from job import Job, digest, main, refusal, seen


def drive(job: Job) -> dict[str, object]:
    """It sends no files."""
    client = ComfyClient(job.url)
    steps: list[tuple[int, int]] = []
    result = client.submit_and_track(
        job.picture, on_progress=lambda step, total: steps.append((step, total))
    )
    run = result["prompt_id"]
    slow = client.submit(job.slow)
    job.running()
    client.interrupt()
    try:
        client.wait(slow, poll_interval=0.1, max_wait=60)
    except ComfyExecutionError as error:
        stopped = error.prompt_id
    else:
        stopped = ""
    try:
        client.submit(job.invalid)
    except ComfySubmitError as error:
        invalid = refusal(error)
    else:
        invalid = ""
    return {
        "submit": run,
        "progress": steps,
        "image": digest(client.download(result["images"][0])),
        "history": seen(client.history(run)),
        "interrupt": stopped,
        "invalid": invalid,
    }


main(drive)
