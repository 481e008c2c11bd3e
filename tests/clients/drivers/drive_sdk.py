"""comfy-sdk 0.5 through comfy-api-proxy 0.1."""

# pyright: reportMissingImports=false

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from job import Job, digest, main, refusal


def drive(job: Job) -> dict[str, object]:
    """The proxy stands between the two; it tells a step every half second.

    That the sampler began, it tells as step 0 of 1.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("comfy-api-proxy")
    proxy = subprocess.Popen([program, "run", "--comfyui", job.url, "--port", str(port)])
    try:
        _listening(port)
        os.environ["COMFY_BASE_URL"] = f"http://127.0.0.1:{port}"
        return _driven(job)
    finally:
        proxy.terminate()
        proxy.wait()


def _driven(job: Job) -> dict[str, object]:
    from comfy_sdk import Comfy, ComfyError, Progress

    with Comfy() as client:
        made = client.submit(client.workflows.from_json(job.picture))
        steps = [event for event in made.events() if isinstance(event, Progress)]
        done = made.wait(60)
        assert done.status == "succeeded"
        (output,) = done.get_outputs("7")
        slow = client.submit(client.workflows.from_json(job.slow))
        job.running()
        slow.cancel()
        asset = client.assets.from_file(job.image)
        asset.commit()
        try:
            client.submit(client.workflows.from_json(job.invalid))
        except ComfyError as error:
            invalid = refusal(error)
        else:
            invalid = ""
        return {
            "submit": done.id,
            "progress": [(step.step, step.steps) for step in steps if (step.steps or 0) > 1],
            "image": digest(output.to_bytes()),
            "history": {"status": "success", "images": [output.name]},
            "interrupt": slow.id,
            "upload": asset.file_path,
            "invalid": invalid,
        }


def _listening(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError


main(drive)
