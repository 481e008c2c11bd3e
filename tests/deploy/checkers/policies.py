"""Checks a folder of files with checkov, without its downloads."""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

CHECKOV = Path(sys.executable).with_name("checkov")
FRAMEWORKS = ("dockerfile", "kubernetes", "bicep")
NOT_FOLLOWED = {
    "CKV_DOCKER_7": "the base image is a build argument, which has a version",
    "CKV_K8S_11": "a limit of CPU slows a start, and requests share it fairly",
    "CKV_K8S_15": "a version is pulled once; `Always` asks the registry at each start",
    "CKV_K8S_35": "the address of the database is an environment variable, as all settings are",
    "CKV_K8S_43": "the value image.digest pins an image; a chart can not know it",
    "CKV_AZURE_35": "docs/deploy/container-apps.md: a virtual network for more than a trial",
    "CKV_AZURE_43": "the name is computed, from small letters and digits",
    "CKV_AZURE_206": "images that are lost can be made again; copies in other regions cost more",
}
"""The policies that we do not follow, and why."""


def check_policies(folder: Path) -> dict[str, list[str]]:
    """Return the policies that the files of a folder break, by the name of the file."""
    ran = subprocess.run(
        [
            *(CHECKOV, "--directory", folder, "--framework", *FRAMEWORKS),
            *("--output", "json", "--quiet", "--compact", "--skip-download"),
            *("--skip-check", ",".join(NOT_FOLLOWED)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(ran.stdout)
    reports = report if isinstance(report, list) else [report]
    found: dict[str, list[str]] = defaultdict(list)
    for each in reports:
        for item in each.get("results", {}).get("failed_checks", ()):
            name = Path(item["file_path"]).name
            found[name].append(f"{item['check_id']} {item['check_name']}: {item['resource']}")
    return found
