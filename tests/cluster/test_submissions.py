"""How many submissions a run would be, from what Snakemake plans."""

import re
import subprocess
import sys

import yaml

EVERYTHING = "config/benchmarks/demo_everything.yaml"


def test_every_router_and_experiment_on_five_splits_is_at_most_150_submissions(run, tmp_path):
    folder = tmp_path / "checkout"
    targets = ["results/small/data", "results/small/text_only/source.json"]
    config = yaml.safe_load((run.ROOT / EVERYTHING).read_text()) | {
        "name": "small",
        "source": {"kind": "demo", "samples": 20},
        "text_only": {"kind": "demo_text", "samples": 20},
        "split": {"salts": [0, 1, 2, 3, 4]},
    }
    # Once the data are read, the whole run is known.
    run(folder, targets, "--cores", "2", config=config)
    profile = ["--workflow-profile", "workflow/profiles/slurm"]
    planned = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", "--configfile", "my.yaml", *profile],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (jobs,) = set(re.findall(r"^total +(\d+)$", planned, re.MULTILINE))
    assert int(jobs) > 500
    groups = len(re.findall(r"Group job \w+ ", planned))
    alone = dict(re.findall(r"^(hold_out|refit) +(\d+)$", planned, re.MULTILINE))
    assert sum(map(int, alone.values())) == 6
    # Fetch, ingest and the fetch of the text-only source came before.
    assert 60 < groups + 6 + 3 <= 150
