"""comfyui-xy 0.3."""

# pyright: reportMissingImports=false

from comfyui_xy import ComfyUiClient, ComfyUiHttpError
from job import Job, digest, main, refusal, seen


def drive(job: Job) -> dict[str, object]:
    """It polls, and tells nothing of steps."""
    client = ComfyUiClient(job.url, raise_on_error=True, execution_timeout=60)
    run = client.queue_prompt(job.picture)
    outputs = client.wait_for_execution(run, check_interval=0.1)
    (image,) = client.extract_file_responses(outputs)
    slow = client.queue_prompt(job.slow)
    job.running()
    client.interrupt()
    client.wait_for_execution(slow, check_interval=0.1)
    try:
        client.queue_prompt(job.invalid)
    except ComfyUiHttpError as error:
        invalid = refusal(error) + error.response_text
    else:
        invalid = ""
    return {
        "submit": run,
        "image": digest(image.data),
        "history": seen(client.get_history(run)[run]),
        "interrupt": slow,
        "upload": client.upload_image(job.image),
        "invalid": invalid,
    }


main(drive)
