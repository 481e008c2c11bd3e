"""comfy-catapult 3.0."""

# pyright: reportMissingImports=false

import asyncio
from typing import Any

from comfy_catapult.api_client import ComfyAPIClient
from job import Job, digest, main, seen


async def drive(job: Job) -> dict[str, object]:
    """Every answer has to fit its models to the letter.

    Its scheduler is left out: it fails when it polls before the server has answered.
    """
    async with ComfyAPIClient(comfy_api_url=job.url) as client:
        await client.GetSystemStats()
        await client.GetObjectInfo()
        await client.GetPrompt()
        ticket = await client.PostPrompt(prompt_workflow=job.picture)
        run = ticket.prompt_id
        raw = await _finished(client, run)
        assert run in (await client.GetHistory(max_items=1)).root
        (name,) = seen(raw[run])["images"]
        data = await client.GetView(folder_type="output", subfolder="", filename=name)
        return {
            "submit": run,
            "image": digest(data),
            "history": seen(raw[run]),
            "interrupt": await _interrupted(client, job),
            "upload": await _uploaded(client, job),
            "invalid": await _refused(client, job),
        }


async def _finished(client: ComfyAPIClient, run: str) -> dict[str, Any]:
    for _ in range(600):
        raw = await client.GetHistoryRaw(prompt_id=run)
        if raw:
            return raw
        await asyncio.sleep(0.1)
    raise TimeoutError


async def _interrupted(client: ComfyAPIClient, job: Job) -> str:
    ticket = await client.PostPrompt(prompt_workflow=job.slow)
    job.running()
    await client.GetQueue()
    await client.PostInterrupt()
    return ticket.prompt_id


async def _uploaded(client: ComfyAPIClient, job: Job) -> str:
    kept = await client.PostUploadImage(
        folder_type="input",
        subfolder="",
        filename="catapult.png",
        data=job.image_bytes,
        overwrite=True,
    )
    return kept.name


async def _refused(client: ComfyAPIClient, job: Job) -> str:
    ticket = await client.PostPrompt(prompt_workflow=job.invalid)
    return str(ticket.node_errors or "")


main(drive)
