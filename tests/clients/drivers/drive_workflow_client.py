"""comfyui-workflow-client 0.1."""

# pyright: reportMissingImports=false

import json
from pathlib import Path

from comfyuiclient.client import ComfyUIClient
from job import Job, main, pixels, refusal, seen


def drive(job: Job) -> dict[str, object]:
    """Its uploads always have one name, in a folder of its own."""
    file = Path(job.report).with_suffix(".prompt")
    file.write_text(json.dumps(job.picture))
    client = ComfyUIClient(job.address, str(file))
    client.connect()
    images = client.generate(["SaveImage"])
    run = client.queue_prompt(client.comfyui_prompt)["prompt_id"]
    client.get_images(client.comfyui_prompt)
    history = client.get_history(run)[run]
    try:
        client.queue_prompt(job.invalid)
    except (ConnectionError, ValueError) as error:
        invalid = refusal(error)
    else:
        invalid = ""
    client.close()
    return {
        "submit": run,
        "image": pixels(images["SaveImage"]),
        "history": seen(history),
        "invalid": invalid,
    }


main(drive)
