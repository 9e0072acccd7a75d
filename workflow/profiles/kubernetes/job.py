#!/usr/bin/env python3
"""Submit a job script of Snakemake's to Kubernetes by kubectl, and tell what became of it.

job.py submit --image I --claim C --mount M --cpus N --megabytes N --minutes N --gpus N SCRIPT
job.py status JOB         prints success, failed or running
job.py cancel JOB [JOB]   deletes jobs

Pods see the volume of the claim where this machine does, so the script and what it names are
found. A job is never restarted by Kubernetes: Snakemake does that, with more memory.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def manifest(asked: argparse.Namespace) -> dict[str, Any]:
    """Return a batch/v1 Job of one pod that runs a script where this process runs."""
    needs = {"cpu": str(asked.cpus), "memory": f"{asked.megabytes}M"}
    if asked.gpus:
        needs["nvidia.com/gpu"] = str(asked.gpus)
    container = {
        "name": "job",
        "image": asked.image,
        "command": ["bash", str(Path(asked.script).resolve())],
        "workingDir": str(Path.cwd()),
        "resources": {"requests": needs, "limits": needs},
        "volumeMounts": [{"name": "volume", "mountPath": asked.mount}],
    }
    claim = {"name": "volume", "persistentVolumeClaim": {"claimName": asked.claim}}
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": [claim]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": "mmroute-", "labels": {"app": "mmroute"}},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": 60 * asked.minutes,
            "ttlSecondsAfterFinished": 86_400,
            "template": {"spec": pod},
        },
    }


def kubectl(*arguments: str, given: str | None = None) -> str:
    """Run kubectl and return what it prints; end with its own message if it fails."""
    result = subprocess.run(
        ["kubectl", *arguments], input=given, capture_output=True, text=True, check=False
    )
    if result.returncode:
        sys.exit(f"kubectl {arguments[0]}: {result.stderr.strip()}")
    return result.stdout.strip()


def status(job: str) -> str:
    """Return what Snakemake wants to know of a job; one that is gone has failed."""
    found = kubectl("get", job, "--ignore-not-found", "--output=json")
    conditions = json.loads(found)["status"].get("conditions", []) if found else [GONE]
    ended = {entry["type"] for entry in conditions if entry["status"] == "True"}
    return "success" if "Complete" in ended else "failed" if "Failed" in ended else "running"


GONE = {"type": "Failed", "status": "True"}


def main() -> None:
    """Read the command line and do what it asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    submit = commands.add_parser("submit")
    for option in ("image", "claim", "mount"):
        submit.add_argument(f"--{option}", required=True)
    for option in ("cpus", "megabytes", "minutes", "gpus"):
        submit.add_argument(f"--{option}", type=int, required=True)
    submit.add_argument("script")
    commands.add_parser("status").add_argument("job")
    commands.add_parser("cancel").add_argument("jobs", nargs="+")
    asked = parser.parse_args()
    if asked.command == "submit":
        given = json.dumps(manifest(asked))
        sys.stdout.write(kubectl("create", "--filename=-", "--output=name", given=given))
    elif asked.command == "status":
        sys.stdout.write(status(asked.job))
    else:
        kubectl("delete", *asked.jobs, "--ignore-not-found", "--wait=false")


if __name__ == "__main__":
    main()
