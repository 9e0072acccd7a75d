"""The evidence page: what it claims, of which files, that data stay data, and that it prints."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mmroute import cli
from mmroute.decision.decide import SETTLED
from mmroute.errors import InputError
from mmroute.presentation.tables import write_csv
from mmroute.provenance import digests
from mmroute.report import page, printing
from mmroute.report.data_report import SIMULATED
from mmroute.report.evidence import evidence
from mmroute.storage import digest_file, write_json, write_text

HOSTILE = "<script>alert(1)</script>{{ 7 * 7 }}{% raw %}$x$&\"'"
GAINS = {"near": (0.08, 0.06, 0.1, 0.002, 0.05), "far": (-0.04, -0.05, -0.02, 0.004, 0.07)}
"""Of each router value, bounds and p of its gain, and what that was in training."""
UNTOLD = (0.01, -0.02, 0.04, 0.5, 0.01)


def main_table(gains):
    """The main table: of each router its gain, on everything and on one data set."""
    rows = [
        (level, dataset, router, metric, *numbers)
        for router, own in gains.items()
        for level, dataset in (("full", "full"), ("dataset", HOSTILE))
        for metric, numbers in (
            ("gain_honest", own),
            ("qnc_honest", (math.inf, 0.5, math.inf, math.nan, 0.4)),
            ("nauc", (0.77777, 0.7, 0.8, math.nan, math.nan)),
        )
    ]
    columns = ["level", "dataset", "router", "metric", "value", "low", "high", "p_value"]
    return pd.DataFrame(rows, columns=[*columns, "training"])


def decision(named):
    """The row of all budgets, and one that is asked."""
    row = {"prices": "today", "asked": "budget", "amount": "50%", "limit": 5.0, "labels": 90}
    row |= {"router": named, "first": HOSTILE, "second": HOSTILE, "second_share": 0.0}
    row |= {"feasible": True, "threshold": 0.1, "kept": 0.99, f"share {HOSTILE}": 1.0}
    for name in ("accuracy", "cost_usd_per_1000", "routed_gain"):
        row |= {name: 0.05, f"{name}_low": 0.04, f"{name}_high": 0.06}
    row |= {f"labels_for_{100 * gain:.0f}": 10.0 for gain in SETTLED}
    return pd.DataFrame([row, row | {"asked": "all budgets", "amount": ""}])


def write_run(folder, gains=GAINS, named="near", notices=(HOSTILE,), **recorded):
    """Write the files of a run of which a page is made."""
    write_csv(folder / "tables/table2.csv", main_table(gains))
    write_csv(folder / "decision.csv", decision(named))
    counts = {"scenario": "all", "samples": 90, "groups": 45, "train": 30, "test": 60}
    datasets = [{"dataset": name, **counts, "coverage": 0.9} for name in (HOSTILE, "full")]
    write_csv(folder / "tables/datasets.csv", pd.DataFrame(datasets))
    numbers = {
        f"{name}{bound}": [value]
        for name, value in (("accuracy", 0.5), ("cost_usd", 0.002))
        for bound in ("", "_low", "_high")
    }
    models = pd.DataFrame({"model": [HOSTILE], "coverage": 0.9, **numbers, "cost_from": HOSTILE})
    write_csv(folder / "tables/models.csv", models)
    write_json(folder / "tables/notices.json", list(notices))
    for row in gains:
        write_text(folder / f"evaluation/routers/{row}/0/replicates.parquet", row)
    config = {"name": "bench", "policy": "lambda", "resamples": 1000, "seed": 0}
    config |= {"shard_size": {"evaluate": 1000}, "split": {"train": 0.2, "development": 0.0}}
    config |= {"decision": {"labels": "all"}, "routers": {"near": {HOSTILE: HOSTILE}}}
    content = {part: HOSTILE for part in ("name", "split", "text", "image", "all")}
    record = {
        "config": config,
        "versions": {"mmroute": "9.8", "python": HOSTILE, "snakemake": "7.6"}
        | {"packages": {HOSTILE: HOSTILE}},
        "code": {"commit": "c0ffee", "clean": False, "changed": [HOSTILE], "reason": None},
        "data": {"datasets": [content | {"samples": 90}], "prices": {HOSTILE: HOSTILE}},
        "seeds": {"seed": 17, "salts": [0]},
        "files": digests(folder, 1),
    }
    write_json(folder / "provenance.json", record | recorded)
    return folder


class Page(HTMLParser):
    """Tags and scripts of a page, its rows as lists of cells, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.scripts, self.rows, self._words, self._within = [], [], [], [], ""
        self.feed(html)
        self.text = " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._within = tag
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self._within == "script":
            self.scripts.append(data)
        elif self._within != "style":
            self._words.append(data)
        if self._within in ("td", "th"):
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        self._within = ""

    def cells(self, first):
        """The cells beside the one that begins so."""
        (row,) = (row[1:] for row in self.rows if row[0].startswith(first))
        return row


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "results/bench")


def shown(run, router=None):
    return Page(evidence(run, router))


def test_the_claim_is_of_the_row_that_the_config_names(run):
    text = shown(run).text
    claim = "near is more accurate at equal cost than the best static mixtures of models, on the 60"
    assert f"{claim} test queries of bench: gain 0.080 [0.060, 0.100] nAUC, p .002." in text
    assert "It was named in the config, before any result was seen." in text


def test_a_row_named_afterwards_is_said_to_be(run):
    text = shown(run, "far").text
    assert "far is less accurate at equal cost than" in text
    assert "with the results known: among 2 rows of routers, one may look good by chance" in text
    assert shown(run, "near").text == shown(run).text


def test_a_gain_that_may_be_none_is_no_claim(tmp_path):
    run = write_run(tmp_path / "run", {"near": UNTOLD})
    assert "Whether near is more accurate at equal cost than" in shown(run).text


def test_without_a_named_row_it_is_the_best_in_training(tmp_path):
    text = shown(write_run(tmp_path / "run", named="elsewhere")).text
    assert "far is less accurate" in text
    assert "It was the best on training data, among 2 rows of routers." in text


@pytest.mark.parametrize("router", ["zero", "../near", "gone"])
def test_of_what_is_no_router_nothing_is_claimed(tmp_path, router):
    gains = GAINS | {"zero": (0.0,) * 5, "gone": (math.nan,) * 5}
    run = write_run(tmp_path / "run", gains)
    with pytest.raises(InputError, match="no such router; choose from: near, far$"):
        evidence(run, router)


def test_numbers_stand_with_their_intervals_and_flattering_ones_do_not(run):
    page = shown(run)
    assert page.cells("Gain, operating points chosen on training data") == [
        "0.080 [0.060, 0.100]",
        ".002",
        "–",
    ]
    assert page.cells("QNC, operating point chosen on")[0] == "∞ [0.500, ∞]"
    assert "0.778" not in page.text


def test_coverage_is_told_by_data_set_and_by_model(run):
    page = shown(run)
    assert "90.00% of the outcomes of 90 queries by 1 models are known." in page.text
    rows = [row[1:] for row in page.rows if row[0] == HOSTILE]
    counts = ["90", "45", "30", "60", "90.0%", "0.080 [0.060, 0.100]", ".002"]
    assert counts in rows
    assert ["50.0% [50.0%, 50.0%]", "2 [2, 2]", "90.0%", "9", HOSTILE] in rows


def test_digests_are_those_of_the_files_and_of_the_record(run):
    page = shown(run)
    names = ["decision.csv", "tables/table2.csv", "evaluation/routers/near/0/replicates.parquet"]
    assert [page.cells(name) for name in names] == [[digest_file(run / name)] for name in names]
    assert digest_file(run / "provenance.json") in page.text
    assert "mmroute verify results/bench" in page.text


def test_versions_seeds_and_an_unclean_tree_are_told(run):
    text = shown(run).text
    assert "mmroute 9.8, git commit c0ffee , working tree not clean (changed or new: 1)" in text
    assert "by the salt 0; seed 17." in text


def test_only_simulated_data_are_called_simulated(run, tmp_path):
    assert "Simulated data." not in shown(run).text
    assert "Simulated data." in shown(write_run(tmp_path / "made", notices=[SIMULATED])).text


def test_text_from_a_run_is_shown_and_never_run(tmp_path):
    router = "<img src=x onerror=alert(1)>"
    found = shown(write_run(tmp_path / "run", {router: GAINS["near"]}, named=router))
    assert found.scripts == [(Path(page.__file__).parent / "page.js").read_text()]
    assert f"{router} is more accurate" in found.text
    assert found.text.count(HOSTILE) > 10
    assert {"img", "iframe", "link", "object"}.isdisjoint(found.tags)


def test_a_run_has_one_page(run):
    assert evidence(run, None) == evidence(run, None)


@pytest.mark.parametrize(
    "name", ["decision.csv", "tables/notices.json", "evaluation/routers/near/0/replicates.parquet"]
)
def test_a_file_that_the_record_does_not_know_makes_no_page(run, name):
    (run / name).write_text((run / name).read_text() + "\n")
    with pytest.raises(InputError, match=f"{name}: is not as provenance.json has it"):
        evidence(run, None)


@pytest.mark.parametrize(
    "recorded",
    [
        {"versions": {"mmroute": "9.8"}},
        {"code": {}},
        {"config": {"name": "bench"}},
        {"seeds": None},
        {"files": {}},
    ],
    ids=lambda recorded: next(iter(recorded)),
)
def test_a_record_of_another_kind_is_refused_in_one_line(tmp_path, recorded):
    with pytest.raises(InputError, match="make the results anew"):
        evidence(write_run(tmp_path / "run", **recorded), None)


def test_tables_of_another_kind_are_refused_in_one_line(tmp_path):
    folder = write_run(tmp_path / "run", notices=())
    write_csv(folder / "tables/models.csv", pd.DataFrame({"model": ["a"], "cost_usd": [0.1]}))
    record = json.loads((folder / "provenance.json").read_text())
    write_json(folder / "provenance.json", record | {"files": digests(folder, 1)})
    with pytest.raises(InputError, match="models.csv: no column 'cost_from'"):
        evidence(folder, None)
    models = {"model": ["a"], "cost_usd": [0.1], "cost_from": "bill", "accuracy": "good"}
    write_csv(folder / "tables/models.csv", pd.DataFrame(models))
    write_json(folder / "provenance.json", record | {"files": digests(folder, 1)})
    with pytest.raises(InputError, match="its tables are not as this version of mmroute writes"):
        evidence(folder, None)


# --- the command ------------------------------------------------------------------------------


def call(*arguments):
    return CliRunner().invoke(cli.app, ["report", *map(str, arguments)])


def test_the_command_says_whether_routing_pays_and_where_the_report_is(run):
    done = call(run)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "Routing pays here: against the best static mixtures of models, near gains +5.0 points "
        f"[+4.0, +6.0] in accuracy at the same cost, on average over the budgets.\n"
        f"{run}/report.html: the report\n"
    )


def test_without_a_browser_there_is_a_page_and_a_line_that_says_so(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    output = tmp_path / "mine.html"
    done = call(run, "--evidence", "--output", output)
    assert (done.exit_code, done.stdout) == (
        0,
        f"{output}; no PDF, as none of chromium, chromium-browser, google-chrome is installed\n",
    )
    assert output.read_text() == evidence(run, None)
    again = call(run, "--evidence", "--output", output)
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    assert "is there already" in again.stderr


@pytest.mark.parametrize(
    "script", ["exit 3", "true", "kill -9 $$", "sleep 9"], ids=["fails", "idles", "dies", "hangs"]
)
def test_a_browser_that_fails_leaves_the_page_alone(run, tmp_path, monkeypatch, script):
    browser = tmp_path / "bin/chromium"
    browser.parent.mkdir()
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", str(browser.parent), prepend=":")
    monkeypatch.setattr(printing, "SECONDS", 0.5)
    done = call(run, "--evidence", "--output", tmp_path / "mine.html")
    assert done.exit_code == 2
    assert "did not print it" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "mine.html", "results"]


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_prints_it_on_pages_of_a4(run, tmp_path):
    output = tmp_path / "mine.html"
    done = call(run, "--evidence", "--output", output)
    assert (done.exit_code, done.stdout) == (0, f"{output}, and {tmp_path}/mine.pdf to print\n")
    content = (tmp_path / "mine.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", content)
    assert boxes
    assert {tuple(round(float(side)) for side in box) for box in boxes} == {(595, 842)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.html", "mine.pdf", "results"]
