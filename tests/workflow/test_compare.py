"""Two real runs side by side, of which the second has a model that was updated."""

import subprocess

import numpy as np
import pandas as pd
import pytest

from mmroute.outcome_table import OutcomeTable
from mmroute.presentation.tables import read_csv

pytestmark = pytest.mark.slow


def as_log(table, path):
    """Write an outcome table as a log, which anybody may have; what has no question gets one."""
    samples = table.samples[["sample_id", "dataset", "scenario", "question"]]
    asked = samples["question"].where(samples["question"] != "", "Picture " + samples["sample_id"])
    outcomes = [
        samples.assign(question=asked, model=name, utility=utility, cost=cost)
        for name, utility, cost in zip(
            table.model_names, table.utility.T, table.cost.T, strict=True
        )
    ]
    pd.concat(outcomes).to_csv(path, index=False)


def test_an_update_of_a_model_is_found(finished, small):
    table = OutcomeTable.read(finished.folder / "results/small/outcomes")
    model = int(np.nanmean(table.utility, axis=0).argmax())
    name, before = table.model_names[model], table.utility[:, model].copy()
    table.utility[::3, model] = 0
    as_log(table, finished.folder / "updated.csv")
    source = {"kind": "table", "path": "updated.csv"}
    finished.run(small | {"name": "updated", "source": source}, "all")
    command = [finished.python, "-m", "mmroute.cli", "compare", "results/small", "results/updated"]
    done = subprocess.run(command, cwd=finished.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = read_csv(finished.folder / "comparison.csv")
    models = told[(told["what"] == "model") & (told["dataset"] == "full")]
    models = models[(models["run"] == "updated") & (models["metric"] == "accuracy")]
    models = models.set_index("row")
    lost = table.utility[:, model].mean() - before.mean()
    assert models["difference"][name] == pytest.approx(lost)
    assert models["difference_high"][name] < 0
    assert (models["difference"].drop(name).abs() < 1e-12).all()
    rows = told[(told["what"] == "row") & (told["run"] == "updated")]
    best = rows[(rows["row"] == "oracle") & (rows["metric"] == "peak_score")]
    best = best[best["level"] == "full"].iloc[0]
    assert best["paired"]
    assert best["difference"] < 0
    page = (finished.folder / "comparison.html").read_text()
    assert f"the accuracy of 1 of {len(table.model_names)} models differs ({name})" in page
