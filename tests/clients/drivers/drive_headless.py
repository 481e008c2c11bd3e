"""comfy-headless 3.1."""

# pyright: reportMissingImports=false

from comfy_headless import ComfyClient
from comfy_headless.websocket_client import ComfyWSClient, WSProgress
from job import Job, digest, main, refusal, seen


async def drive(job: Job) -> dict[str, object]:
    """Its socket follows a prompt; everything else is plain HTTP."""
    client, socket = ComfyClient(job.url), ComfyWSClient(job.url)
    steps: list[tuple[int, int]] = []
    heard: list[str] = []

    async def hear(progress: WSProgress) -> None:
        if progress.status == "progress":
            steps.append((int(progress.progress), int(progress.max_progress)))

    async def hear_end(progress: WSProgress) -> None:
        heard.append(progress.status)

    await socket.connect()
    run = await socket.queue_prompt(job.picture)
    await socket.wait_for_completion(run, 60, hear)
    entry = (await socket.get_history(run))[run]
    (name,) = seen(entry)["images"]
    slow = await socket.queue_prompt(job.slow)
    job.running()
    client.cancel_current()
    await socket.wait_for_completion(slow, 60, hear_end)
    try:
        await socket.queue_prompt(job.invalid)
    except Exception as error:  # noqa: BLE001 - httpx's, which this file does not import
        invalid = refusal(error)
    else:
        invalid = ""
    await socket.disconnect()
    return {
        "submit": run,
        "progress": steps,
        "image": digest(client.get_image(name)),
        "history": seen(entry),
        "interrupt": slow if "interrupted" in heard else heard,
        "upload": client.upload_image(job.image)["name"],
        "mask": _masked(client, job),
        "invalid": invalid,
    }


def _masked(client: ComfyClient, job: Job) -> str:
    original = client.upload_image(job.image)
    return client.upload_mask(job.image, original, filename="headless_mask.png")["name"]


main(drive)
