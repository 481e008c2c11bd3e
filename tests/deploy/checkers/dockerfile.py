"""Checks a Dockerfile: hadolint, and what the image promises."""

import json
import re
import subprocess
import sys
from pathlib import Path

HADOLINT = Path(sys.executable).with_name("hadolint")
ORDER = ("USER", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT")
"""Instructions that the last stage has to have."""


def check_dockerfile(path: Path) -> list[str]:
    """Return everything wrong with a Dockerfile."""
    return [*_hadolint(path), *_promises(path.read_text())]


def _hadolint(path: Path) -> list[str]:
    ran = subprocess.run(
        [HADOLINT, "--no-color", "--format", "json", "--failure-threshold", "style", path],
        capture_output=True,
        text=True,
        check=False,
    )
    if not ran.stdout:
        return [f"hadolint: {ran.stderr}"]
    return [
        f"line {item['line']}: {item['code']} {item['message']}" for item in json.loads(ran.stdout)
    ]


def _promises(text: str) -> list[str]:
    lines = re.sub(r"\\\n", " ", text).splitlines()
    last = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]
    said = {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in last}
    missing = [f"the last stage has no {name}" for name in ORDER if name not in said]
    if said.get("USER") != "10001:10001":
        missing.append(f"USER is {said.get('USER')!r}, not 10001:10001")
    if not said.get("ENTRYPOINT", "").startswith('["tini"'):
        missing.append("ENTRYPOINT does not begin with tini")
    installs = [line for line in lines if "pip install" in line and " -r " in f"{line} "]
    return [
        *missing,
        *(
            f"pip without --require-hashes: {line}"
            for line in installs
            if "--require-hashes" not in line
        ),
        *(
            f"models are baked in: {line}"
            for line in lines
            if re.match(r"(COPY|ADD)\b.*\bmodels/", line)
        ),
    ]
