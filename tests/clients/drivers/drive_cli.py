"""comfy-cli 1.23, as the program that it is."""

# pyright: reportMissingImports=false

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from job import Job, digest, main

COMFY = Path(sys.executable).with_name("comfy")


def drive(job: Job) -> dict[str, object]:
    """It tells some of the steps."""
    run = Program(job)
    events = run("run", "--wait", "--workflow", job.picture)
    end = events[-1]["data"]
    steps = [(e["completed"], e["total"]) for e in events if e["type"] == "progress"]
    status = run("jobs", "status", end["prompt_id"])[-1]["data"]
    run("download", end["prompt_id"], "--out-dir", str(run.folder / "got"))
    (file,) = (run.folder / "got").rglob("*.png")
    slow = run("run", "--workflow", job.slow)[-1]["data"]["prompt_id"]
    job.running()
    run("jobs", "cancel", slow)
    upload = run("upload", job.image)[-1]["data"]["uploads"][0]["cloud_name"]
    error = run("run", "--wait", "--workflow", job.invalid)[-1]["error"]
    names = [url.partition("filename=")[2].partition("&")[0] for url in status["outputs"]]
    state = {"completed": "success"}.get(status["status"], status["status"])
    return {
        "submit": end["prompt_id"],
        "progress": steps,
        "image": digest(file.read_bytes()),
        "history": {"status": state, "images": names},
        "interrupt": slow,
        "upload": upload,
        "invalid": f"{error['code']}: {error['hint']}",
    }


class Program:
    """Calls it."""

    def __init__(self, job: Job) -> None:
        self.folder = Path(job.report).parent
        self._url = job.url

    def __call__(self, *arguments: object) -> list[dict[str, Any]]:
        """What it says; a prompt among the arguments is put into a file."""
        words = [self._file(word) if isinstance(word, dict) else str(word) for word in arguments]
        done = subprocess.run(
            [COMFY, "--skip-prompt", "--json-stream", *words],
            check=False,
            capture_output=True,
            text=True,
            env={
                "HOME": str(self.folder),
                "COMFY_LOCAL_URL": self._url,
                "DO_NOT_TRACK": "1",
                "PATH": "/usr/bin:/bin",
            },
        )
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def _file(self, prompt: object) -> str:
        file = self.folder / "prompt.json"
        file.write_text(json.dumps(prompt))
        return str(file)


main(drive)
