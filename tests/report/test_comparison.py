"""Runs side by side: paired where samples are shared, ranked where they are not."""

import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mmroute import cli
from mmroute.errors import InputError
from mmroute.evaluation.exact import evaluate, evaluate_singles
from mmroute.evaluation.setting import Setting
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.pool import cost_unit
from mmroute.outcomes.splits import freeze
from mmroute.predictions import Predictions
from mmroute.presentation.tables import (
    add_macro_averages,
    read_csv,
    read_replicates,
    summarise,
    write_csv,
)
from mmroute.provenance import digests
from mmroute.report import comparison
from mmroute.report.comparison import Comparison, Pair, leaderboard
from mmroute.report.comparison_page import answer, render
from mmroute.report.runs import Run
from mmroute.storage import digest_file, read_json, write_frame, write_json

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script>{{ 7 * 7 }}$x$&\"'"
MODELS = ["cheap", "middle", "=dear"]
COSTS = np.array([1.0, 4.0, 10.0]) / 1000
ROUTERS = {"near": 0.2, "far": 0.6, "blind": 3.0}
"""Routers, and how far their predictions are off."""


def outcomes(n_samples=240, seed=0, datasets=("A", HOSTILE)):
    """Make up samples in pairs of one group, and what three models did on them."""
    generator = np.random.default_rng(seed)
    hardness = generator.uniform(size=n_samples)
    utility = (hardness[:, None] < generator.uniform([0.2, 0.4, 0.6], 1, (n_samples, 3))) * 1.0
    samples = pd.DataFrame(
        {
            "sample_id": [f"s{index}" for index in range(n_samples)],
            "dataset": np.resize(np.repeat(datasets, 2), n_samples),
            "scenario": "all",
            "group": [f"g{index // 4}-{index % 2}" for index in range(n_samples)],
            "question": [f"What is {index}?" for index in range(n_samples)],
            "answer": None,
            "image": None,
            "image_digest": None,
        }
    )
    samples["group"] = samples["dataset"] + [f"{index // 4}" for index in range(n_samples)]
    none = np.full(utility.shape, np.nan)
    models = pd.DataFrame({"model": MODELS, "usd_per_1m_prompt_tokens": np.nan})
    models["usd_per_1m_completion_tokens"] = [1.0, 4.0, 10.0]
    cost = COSTS * generator.uniform(0.8, 1.2, (n_samples, 1))
    return OutcomeTable(samples, models, utility, cost, none, none, none.astype(object))


def take(table, n_samples):
    return table.take(np.arange(n_samples))


def decision(advised="near", accuracy=0.8, cost=3.0):
    """A table of decisions: one for a budget, by a router or always one model, and the last row."""
    by_router = advised in ROUTERS
    bounds = {}
    for name, value in (("accuracy", accuracy), ("cost_usd_per_1000", cost), ("routed_gain", 0.05)):
        bounds |= {name: value, f"{name}_low": 0.9 * value, f"{name}_high": 1.1 * value}
    row = {"prices": "today", "asked": "budget", "amount": "50%", "limit": 5.0, "labels": 240}
    row |= {"router": advised if by_router else "", "first": advised, "second": advised}
    row |= {"second_share": 0.0, "feasible": True, **bounds}
    row |= {f"share {name}": float(name == advised) for name in MODELS}
    if by_router:
        row |= {"first": "cheap", "second": "=dear"}
        row |= {f"share {name}": 1 / 3 for name in MODELS}
    asked = row | {"asked": "accuracy", "amount": "0.7"}
    return pd.DataFrame([row, asked, row | {"asked": "all budgets", "amount": ""}])


def write_run(
    folder, table, *, name="bench", seed=0, salts=(0,), rows=ROUTERS, advice=None, versions="1.0"
):
    """Write the files of a run that a comparison reads, measured as the workflow measures them."""
    salts = [str(salt) for salt in salts]
    samples = table.samples
    table.write(folder / "outcomes")
    write_json(folder / "outcomes/pool.json", {"unit_usd": cost_unit(table.cost), "left_out": []})
    write_frame(folder / "splits.parquet", freeze(samples, 0.4, salts))
    stored, singles = {}, {}
    for salt in salts:
        how = {"policy": "lambda", "n_resamples": 100, "seed": seed}
        setting = Setting.read(folder / "outcomes", folder / "splits.parquet", salt, **how)
        singles[salt] = folder / f"evaluation/singles/{salt}/replicates.parquet"
        write_frame(singles[salt], evaluate_singles(setting)[0])
        for row, error in rows.items():
            parts = {}
            for part, own in (("predictions", setting.table), ("crossfit", setting.training)):
                noise = [
                    np.random.default_rng([seed, *sample_id.encode(), *row.encode()]).normal(
                        size=own.utility.shape[1]
                    )
                    for sample_id in own.samples["sample_id"]
                ]
                u_hat = own.utility + error * np.array(noise)
                c_hat = np.broadcast_to(COSTS[: u_hat.shape[1]] / setting.unit, u_hat.shape)
                parts[part] = Predictions(own.samples["sample_id"], u_hat[None], c_hat[None])
                parts[part].write(folder / f"routers/{row}/{salt}/{part}.parquet")
            evaluation = evaluate(setting, **parts)
            stored[row, salt] = folder / f"evaluation/routers/{row}/{salt}/replicates.parquet"
            write_frame(stored[row, salt], evaluation.replicates)
    replicates = read_replicates(singles.items(), stored.items())
    scenarios = dict(zip(samples["dataset"], samples["scenario"], strict=True))
    curves = replicates[replicates["point"] == ""]
    main = summarise(add_macro_averages(curves, scenarios)).drop(columns="point")
    write_csv(folder / "tables/table2.csv", main)
    counts = samples.groupby(["dataset", "scenario"], sort=False).size().rename("samples")
    write_csv(folder / "tables/datasets.csv", counts.reset_index().assign(test=0))
    models = table.models.assign(cost_from="source", cost_usd=np.nanmean(table.cost, axis=0))
    write_csv(folder / "tables/models.csv", models)
    write_csv(folder / "decision.csv", decision() if advice is None else advice)
    content = {"samples": len(samples), "split": "0", "text": "0", "image": "0", "all": str(seed)}
    config = {"name": name, "policy": "lambda", "resamples": 100, "shard_size": {"evaluate": 1000}}
    config |= {"split": {"train": 0.4, "salts": salts}, "seed": seed}
    write_json(
        folder / "provenance.json",
        {
            "config": config | {"routers": {row: {"error": error} for row, error in rows.items()}},
            "versions": {"mmroute": versions},
            "code": {"commit": None},
            "data": {"datasets": [{"name": HOSTILE, **content}], "prices": {}},
            "seeds": {"seed": seed, "salts": salts},
            "files": digests(folder, 1),
        },
    )
    return Run.read(folder, folder.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def table():
    return outcomes()


def updated(table, model=1, share=0.1):
    """The same outcomes after an update that makes a model wrong on some samples."""
    utility = table.utility.copy()
    utility[: int(share * len(utility)), model] = 0
    return replace(table, utility=utility)


@pytest.fixture(scope="module")
def before(folder, table):
    return write_run(folder / "before", table)


@pytest.fixture(scope="module")
def after(folder, table):
    return write_run(folder / "after", updated(table), advice=decision("cheap", 0.5))


@pytest.fixture(scope="module")
def nudged(folder, table):
    return write_run(folder / "nudged", updated(table, share=0.01))


@pytest.fixture(scope="module")
def grown(folder, table):
    return write_run(folder / "grown", take(table, 200))


@pytest.fixture(scope="module")
def several(folder, table):
    tables = (table, updated(table))
    return [
        write_run(folder / f"salts-{index}", one, salts=(0, 1)) for index, one in enumerate(tables)
    ]


def test_a_run_beside_itself_has_differences_of_0_and_p_1(before):
    own = Pair.of(before, before)
    assert own.pairing.how == "same"
    for part in (own.rows, own.models):
        assert (part["difference"].dropna() == 0).all()
        assert part["difference"].notna().sum() > 10
        assert (part["p_value"].dropna() == 1).all()
        assert part["p_value"].notna().sum() > 10
    assert own.changes.empty
    assert set(own.advice["became"]) == {"same"}


@pytest.mark.parametrize("runs", [("before", "after"), ("before", "grown"), "several"])
def test_swapped_runs_have_the_opposite_differences(runs, request):
    first, second = (
        request.getfixturevalue(runs)
        if isinstance(runs, str)
        else map(request.getfixturevalue, runs)
    )
    there, back = Pair.of(first, second), Pair.of(second, first)
    for part in ("rows", "models"):
        one, other = getattr(there, part), getattr(back, part)
        keys = [name for name in ("level", "dataset", "router", "model", "metric") if name in one]
        both = one.merge(other, on=keys)
        assert len(both) == len(one) == len(other)
        np.testing.assert_allclose(both["difference_x"], -both["difference_y"], atol=1e-12)
    assert (there.rows["difference"].abs() > 0.001).any()


def stored_differences(first, second, metric="gain_honest", level="full"):
    """Second less first of a metric, of the stored replicates, resample by resample."""
    told = {}
    for row in ROUTERS:
        values = []
        for run in (first, second):
            own = run.replicates(row, "0")
            own = own[(own["level"] == level) & (own["metric"] == metric)]
            values.append(own["replicates"].iloc[0])
        told[row] = values[1] - values[0]
    return told


def of_metric(frame, metric="gain_honest", level="full"):
    return frame[(frame["metric"] == metric) & (frame["level"] == level)].set_index("router")


def test_runs_of_the_same_samples_are_subtracted_resample_by_resample(before, after):
    own = Pair.of(before, after)
    assert own.pairing.how == "same"
    compared = of_metric(own.rows)
    for row, values in stored_differences(before, after).items():
        assert compared["difference"][row] == values[0]
        low, high = np.quantile(values[1:], [0.2, 0.8])
        assert compared["difference_low"][row] < low
        assert compared["difference_high"][row] > high
    ends = of_metric(after.main)["value"] - of_metric(before.main)["value"]
    np.testing.assert_allclose(compared["difference"], ends[compared.index], atol=1e-12)


def width(pair, level="full"):
    own = of_metric(pair.rows, level=level).loc[list(ROUTERS)]
    return own["difference_high"] - own["difference_low"]


def test_a_paired_interval_of_nearly_equal_runs_is_much_narrower(before, nudged, monkeypatch):
    paired = Pair.of(before, nudged)
    other_salts = before.record.seeds.model_copy(update={"salts": [7]})
    apart = replace(nudged, record=nudged.record.model_copy(update={"seeds": other_salts}))
    pairing = comparison.pair(before, apart, comparison.shared(before.samples, apart.samples))
    assert pairing.how == "apart"
    assert "different salts" in pairing.told
    monkeypatch.setattr(comparison, "pair", lambda *_: pairing)
    assert (width(paired) < 0.6 * width(Pair.of(before, nudged))).all()


def test_shared_samples_are_measured_anew_as_if_there_were_no_others(folder, table, before, grown):
    """What is told of them is what two runs of only these would tell."""
    own = Pair.of(before, grown)
    assert own.pairing.how == "shared"
    n_tests = int(grown.tested["0"].sum())
    assert f"{n_tests} test samples that both have" in own.pairing.told
    alone = comparison.shared(before.samples, grown.samples)
    rows = alone[0][comparison._both_test(before, grown, alone, "0")]
    setting, kept = comparison._only(before, "0", rows, np.ones((1, n_tests), np.uint8))
    assert setting.table.samples["sample_id"].tolist() == (
        grown.samples["sample_id"][grown.tested["0"]].tolist()
    )
    measured = before.measured("near", setting, kept)
    measured = measured[(measured["level"] == "full") & (measured["metric"] == "nauc_honest")]
    ended = of_metric(grown.main, "nauc_honest")["value"]["near"]
    difference = of_metric(own.rows, "nauc_honest")["difference"]["near"]
    assert difference == pytest.approx(ended - measured["replicates"].iloc[0][0])
    assert difference != 0
    assert own.rows["difference_low"].notna().sum() > 50


def test_samples_in_another_order_are_the_same(folder, table, before):
    order = np.random.default_rng(0).permutation(len(table.samples))
    mixed = write_run(folder / "mixed", table.take(order))
    own = Pair.of(before, mixed)
    assert own.pairing.how == "shared"
    np.testing.assert_allclose(own.rows["difference"].dropna(), 0, atol=1e-12)
    np.testing.assert_allclose(own.models["difference"].dropna(), 0, atol=1e-12)


def test_measured_anew_on_the_same_samples_are_the_same_intervals(folder, several, table):
    """Of several salts, too: their draws are of one sequence."""
    first, second = several
    order = np.random.default_rng(0).permutation(len(table.samples))
    mixed = write_run(folder / "mixed-salts", updated(table).take(order), salts=(0, 1))
    subtracted, anew = Pair.of(first, second), Pair.of(first, mixed)
    assert (subtracted.pairing.how, anew.pairing.how) == ("same", "shared")
    keys = ["level", "dataset", "router", "metric"]
    ends = [own.rows.set_index(keys).sort_index() for own in (subtracted, anew)]
    np.testing.assert_allclose(*ends, rtol=1e-6, atol=1e-9)


def test_several_salts_are_put_together_as_in_the_main_table(several):
    compared = of_metric(Pair.of(*several).rows)
    ends = [of_metric(run.main)["value"] for run in several]
    np.testing.assert_allclose(compared["difference"], (ends[1] - ends[0])[compared.index])


def test_models_are_compared_on_the_queries_that_both_runs_know(before, after, table):
    models = Pair.of(before, after).models
    full = models[(models["dataset"] == "full") & (models["metric"] == "accuracy")]
    full = full.set_index("model")
    expected = (after.outcomes.utility - before.outcomes.utility).mean(axis=0)
    np.testing.assert_allclose(full["difference"], expected, atol=1e-12)
    assert full["p_value"]["middle"] < 0.05
    assert (full["p_value"].drop("middle") == 1).all()
    assert full["difference_high"]["middle"] < 0
    by_dataset = models[(models["dataset"] == HOSTILE) & (models["metric"] == "accuracy")]
    rows = (table.samples["dataset"] == HOSTILE).to_numpy()
    told = by_dataset.set_index("model")["difference"]["middle"]
    own = after.outcomes.utility[rows, 1].mean() - before.outcomes.utility[rows, 1].mean()
    assert told == pytest.approx(own)


def test_an_advice_changes_with_its_router_or_models_and_not_with_shares_alone(before, after):
    told = Pair.of(before, after).advice
    assert told["became"].tolist() == ["changed", "changed"]
    assert told["first"].tolist() == ["near", "near"]
    assert told["second"].tolist() == ["always cheap", "always cheap"]
    assert (told["accuracy"] == 0.5 - 0.8).all()
    assert (told["cost_usd_per_1000"] == 0).all()
    elsewhere = decision().assign(**{"share cheap": 0.5, "share =dear": 1 / 6})
    told = comparison.compare_advice(decision(), elsewhere)
    assert told["became"].tolist() == ["traffic moved", "traffic moved"]
    np.testing.assert_allclose(told["moved"], 1 / 6)
    asked = decision().assign(amount="25%")
    assert comparison.compare_advice(decision(), asked).empty


def test_what_changed_is_found_in_the_record(before, after, folder, table):
    assert Pair.of(before, after).changes.empty
    cut = table.take(columns=np.array([0, 1]))
    cut.models.loc[1, "usd_per_1m_completion_tokens"] = 8.0
    rows = {"near": 0.3, "new": 0.1}
    other = write_run(folder / "other", cut, seed=1, rows=rows, versions="2.0")
    told = Pair.of(before, other).changes.set_index(["about", "key"])
    assert told.loc[("config", "seed")].tolist() == ["0", "1"]
    assert told.loc[("config", "routers.near.error")].tolist() == ["0.2", "0.3"]
    assert told.loc[("config", "routers.new.error")].tolist() == ["", "0.1"]
    assert told.loc[("models", "=dear")].tolist() == ["costs from source", ""]
    price = ("prices", "middle: usd_per_1m_completion_tokens")
    assert told.loc[price].tolist() == ["4", "8"]
    assert told.loc[("code", "mmroute")].tolist() == ["1.0", "2.0"]
    assert told.loc[("data", f"{HOSTILE}: everything, with outcomes")].tolist() == [
        "digest 0",
        "digest 1",
    ]
    assert ("config", "resamples") not in told.index


@pytest.fixture(scope="module")
def elsewhere(folder):
    """A run on another benchmark, which has a router more and one less."""
    rows = {"near": 0.9, "far": 0.3, "own": 0.1}
    other = outcomes(120, seed=3, datasets=("C",))
    other.samples["sample_id"] = "c" + other.samples["sample_id"]
    return write_run(folder / "elsewhere", other, name="other", rows=rows)


def test_a_benchmark_that_is_given_twice_ranks_as_it_does_alone(before):
    once, twice = (leaderboard([before] * count) for count in (1, 2))
    once, twice = (
        own[own["level"] == "all benchmarks"].set_index(["row", "metric"]) for own in (once, twice)
    )
    np.testing.assert_allclose(once["value"], twice["value"])
    main = of_metric(before.main, "nauc_honest")["value"].loc[list(ROUTERS)]
    assert once["value"].xs("rank", level="metric").to_dict() == (
        main.rank(ascending=False).to_dict()
    )
    gains = of_metric(before.main)["value"].loc[list(ROUTERS)]
    np.testing.assert_allclose(once["value"].xs("gain_honest", level="metric"), gains)
    widths = [(own["high"] - own["low"]).xs("gain_honest", level="metric") for own in (once, twice)]
    assert (widths[1] < widths[0]).all()
    assert (once["low"] <= once["value"] + 1e-12).all()
    assert (once["high"] >= once["value"] - 1e-12).all()


def test_only_routers_that_all_runs_have_are_ranked(before, elsewhere):
    board = leaderboard([before, elsewhere])
    overall = board[board["level"] == "all benchmarks"]
    assert set(overall["row"]) == {"near", "far"}
    ranks = overall[overall["metric"] == "rank"].set_index("row")["value"]
    assert ranks.to_dict() == {"near": 1.5, "far": 1.5}
    single = board[(board["level"] == "benchmark") & (board["metric"] == "gain_honest")]
    assert set(single["row"][single["run"] == "elsewhere"]) == {"near", "far", "own"}
    gains = single.set_index(["row", "run"])["value"]
    near = overall[(overall["row"] == "near") & (overall["metric"] == "gain_honest")]["value"]
    assert near.item() == pytest.approx(gains["near"].mean())


def test_runs_are_put_together_by_the_samples_they_share(before, after, elsewhere):
    groups = comparison.by_benchmark([before, elsewhere, after])
    assert [[run.name for run in own] for own in groups] == [["before", "after"], ["elsewhere"]]


def test_a_data_set_that_is_named_after_another_file_is_the_same_by_its_questions(table):
    renamed = table.samples.assign(dataset="next week")
    assert len(comparison.shared(table.samples, renamed)[0]) == len(renamed)
    other = renamed.assign(question="Something else")
    assert not len(comparison.shared(table.samples, other)[0])


def test_runs_without_a_router_in_common_are_refused(before, folder):
    other = outcomes(60, seed=3, datasets=("C",))
    other.samples["sample_id"] = "d" + other.samples["sample_id"]
    strange = write_run(folder / "strange", other, name="other", rows={"own": 0.1})
    with pytest.raises(InputError, match="no router is in all of them"):
        Comparison.of([before, strange])


def test_the_answer_counts_what_changed(before, after):
    assert answer(Pair.of(before, after)) == (
        "What to run changed for 2 of 2 budgets and accuracies. What to expect moved beyond its "
        "intervals: accuracy for 2."
    )
    assert answer(Pair.of(before, before)) == (
        "What to run changed for 0 of 2 budgets and accuracies. What to expect did not move beyond "
        "its intervals."
    )


class Seen(HTMLParser):
    """The text of a page, and its elements."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags = "", []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_names_from_data_stay_text_on_the_page_and_in_the_csv(
    folder, table, before, elsewhere, tmp_path
):
    row = "<img src=x onerror=alert(2)>{{ 7 * 7 }}"
    hostile = folder / "<b>{{ 7 * 7 }}"
    second = write_run(hostile, updated(table), rows=ROUTERS | {row: 0.2}, name="=1+1")
    whole = Comparison.of([before, second, elsewhere])
    page = Seen(render(whole))
    assert not {"img", "b"} & {tag for tag, attributes in page.tags if "src" in attributes}
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 1
    for name in (HOSTILE, row, "<b>{{ 7 * 7 }}", "=dear", "=1+1"):
        assert name in page.text
    assert "49" not in {word.strip() for word in page.text.split()}
    write_csv(tmp_path / "comparison.csv", whole.table())
    text = (tmp_path / "comparison.csv").read_text()
    assert '"\'=dear"' in text
    assert '"=' not in text


def test_the_long_table_has_every_value_of_every_run(before, after, elsewhere):
    whole = Comparison.of([before, after, elsewhere]).table()
    rows = whole[whole["what"] == "row"]
    assert len(rows) == len(before.main) + len(after.main)
    keys = ["level", "dataset", "row", "metric", "run"]
    assert not rows.duplicated(keys).any()
    compared = rows[rows["run"] == "after"].set_index(keys[:4])
    base = rows[rows["run"] == "before"].set_index(keys[:4])
    single = compared.index.get_level_values("level").isin(["full", "dataset"])
    ends = (compared["value"] - base["value"])[single].dropna()
    ends = ends[np.isfinite(ends)]
    np.testing.assert_allclose(compared["difference"][ends.index], ends, atol=1e-9)
    assert compared["paired"][compared["difference"].notna()].eq(True).all()
    assert base["difference"].isna().all()
    assert set(whole["what"]) == {"decision", "row", "model", "leaderboard"}


def call(*arguments):
    return CliRunner().invoke(cli.app, ["compare", *map(str, arguments)])


def test_the_command_writes_a_page_and_a_csv_once(before, after, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call(before.folder, after.folder)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comparison.csv", "comparison.html"]
    assert "What to run changed for 2 of 2" in (tmp_path / "comparison.html").read_text()
    assert len(read_csv(tmp_path / "comparison.csv")) > 100
    again = call(before.folder, after.folder)
    assert again.exit_code == 2
    assert again.stderr == (
        "error: comparison.html: is there already; remove it, or give another --output\n"
    )


def break_record(folder, change):
    path = folder / "provenance.json"
    content = read_json(path)
    change(content)
    write_json(path, content)


def rewrite(folder, name, change):
    """Change a table, and the record as whoever made it would."""
    path = folder / name
    path.write_text(change(path.read_text()))
    digest = {"digest": digest_file(path)}
    break_record(folder, lambda own: own["files"].update({name: digest}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "provenance.json").unlink(), "provenance.json: no such file"),
        (lambda folder: shutil.rmtree(folder), "no such folder"),
        (
            lambda folder: break_record(folder, lambda own: own["seeds"].pop("salts")),
            "seeds.salts: Field required; another version of mmroute has written it",
        ),
        (
            lambda folder: break_record(folder, lambda own: own["seeds"].update(seed=-1)),
            "seeds.seed: Input should be greater than or equal to 0",
        ),
        (
            lambda folder: break_record(folder, lambda own: own["config"].update(resamples=-1)),
            "config.resamples: Input should be greater than or equal to 0",
        ),
        (
            lambda folder: break_record(folder, lambda own: own["files"].pop("decision.csv")),
            "provenance.json: lists no decision.csv",
        ),
        (
            lambda folder: (folder / "tables/table2.csv").write_text("level\n"),
            "table2.csv: is not as provenance.json has it",
        ),
        (
            lambda folder: rewrite(folder, "decision.csv", lambda text: text.replace("5.0", '"x"')),
            "decision.csv: column 'limit' holds text",
        ),
        (
            lambda folder: rewrite(
                folder, "tables/models.csv", lambda text: text.replace("cost_usd", "cost")
            ),
            "models.csv: no column 'cost_usd'",
        ),
        (lambda folder: (folder / "splits.parquet").unlink(), "splits.parquet: no such file"),
        (
            lambda folder: break_record(
                folder, lambda own: own["seeds"].update({"salts": ["0/../../../x"]})
            ),
            "provenance.json: lists no evaluation/singles/0/../../../x/replicates.parquet",
        ),
    ],
    ids=[
        *("no record", "no folder", "old record", "seed", "resamples", "not listed", "changed"),
        *("text for a number", "no column", "gone", "leads out"),
    ],
)
def test_a_folder_that_cannot_be_compared_is_one_line(before, after, tmp_path, harm, said):
    broken = tmp_path / "broken"
    shutil.copytree(after.folder, broken)
    harm(broken)
    done = call(before.folder, broken, "--output", tmp_path / "out.html")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {broken}")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("out.*"))


def test_a_table_that_no_run_writes_is_one_line(before, after, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(after.folder, broken)
    rewrite(broken, "tables/models.csv", lambda text: f"{text}{text.splitlines()[1]}\n")
    done = call(before.folder, broken, "--output", tmp_path / "out.html")
    assert done.exit_code == 2
    assert f"or {broken}: its tables are not as this version of mmroute writes" in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_run_twice_or_alone_is_refused(before, tmp_path):
    output = ["--output", tmp_path / "out.html"]
    assert "stands there twice" in call(before.folder, before.folder, *output).stderr
    assert "one run alone" in call(before.folder, *output).stderr
    assert "ends in .html" in call(before.folder, before.folder, "--output", "out").stderr


def test_memory_is_limited(before, after, tmp_path):
    limit = ["--gigabytes", "0.1", "--output", tmp_path / "out.html"]
    done = call(before.folder, after.folder, *limit)
    assert done.exit_code == 2
    assert "raise --gigabytes" in done.stderr
