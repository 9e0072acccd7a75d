"""A router taken away chooses as the pipeline did, for whoever loads it."""

import contextlib
import json
import os
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import mmroute
from mmroute.cli import app
from mmroute.config import load
from mmroute.decision.budget import ADVANCE
from mmroute.decision.card import write_digests
from mmroute.decision.evidence import Evidence
from mmroute.decision.export import Choice, decided, export
from mmroute.decision.files import evidence_files
from mmroute.decision.rule import LOWEST, Limit, Mixture
from mmroute.decision_log import Decision, DecisionLog, Outcome
from mmroute.errors import InputError
from mmroute.evaluation.curve import operating_curve, steps_of
from mmroute.evaluation.setting import Setting
from mmroute.images import BETWEEN
from mmroute.predictions import Predictions
from mmroute.storage import read_json
from mmroute.training import with_paths

pytestmark = pytest.mark.slow

ROUTERS = {
    "routers": {
        "knn": {},
        "kmeans_text": {"class": "kmeans", "n_clusters": 5, "fusion": "text"},
        "uniroute": {"samples_per_cluster": 10},
        "ensemble": {"n_trees": 50},
        "mlp_mf": {"epochs": 5},
        "linear_vl": {"epochs": 5},
        "strongest": {},
        "strongest_per_dataset": {},
        "random": {"trials": 2},
        "oracle": {},
        "kernel": {"class": "my_routers:Kernel"},
        "my_knn": {"class": "my_knn:MyKNN", "n_neighbors": 50},
    },
    "studied": ["knn"],
    "decision": {
        "router": "knn",
        "labels": "all",
        "budgets": ["50%", 1000.0],
        "quality_targets": ["90%", 1.0],
    },
}
KERNEL = (Path(__file__).parents[1] / "examples/my_routers.py").read_text()
ROWS = [
    "knn",
    "knn+shrink",
    "kmeans_text",
    "uniroute+shrink",
    "ensemble",
    "mlp_mf+shrink",
    "linear_vl",
    "strongest",
    "strongest_per_dataset",
    "kernel",
    "my_knn",
]
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def config(small):
    return small | ROUTERS


@pytest.fixture(scope="module")
def run(finished, config):
    """Return the finished checkout, in which the routers were trained and decided on then."""
    (finished.folder / "my_routers.py").write_text(KERNEL)
    (finished.folder / "my_knn.py").write_text((EXAMPLES / "my_knn.py").read_text())
    trained = [f"results/small/routers/{row}/0/predictions.parquet" for row in ROWS]
    refit = "results/small/routers/knn/0/refit/router.safetensors"
    finished.run(config, "decision", refit, *trained)
    return finished


@pytest.fixture
def exported(run, config, monkeypatch, tmp_path):
    """Return a function that exports a row and returns its folder."""
    monkeypatch.chdir(run.folder)
    monkeypatch.syspath_prepend(str(run.folder))

    def take(row, threshold=0.05, folder=tmp_path / "out"):
        choice = Choice(row, threshold, "for a test")
        export(load(config, "my.yaml"), Path("results/small"), choice, folder)
        return folder

    return take


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return where exports are kept for the tests of this module."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def away(exported, kept, tmp_path):
    """Return a function that returns a copy of a row's export."""

    def take(row):
        if not (kept / row).exists():
            exported(row, folder=kept / row)
        return shutil.copytree(kept / row, tmp_path / "out")

    return take


def setting_of(results):
    return Setting.read(
        results / "outcomes",
        results / "splits.parquet",
        "0",
        policy="lambda",
        n_resamples=100,
        seed=0,
    )


def queries_of(results):
    """Return the test split as a user would ask it."""
    setting = setting_of(results)
    root = results.parents[1] / read_json(results / "source.json")["root"]
    return setting, with_paths(setting.table.samples, root).drop(columns="sample_id")


def pipeline_choices(results, row, setting, threshold):
    predictions = Predictions.read(results / f"routers/{row}/0/predictions.parquet")
    steps = steps_of(predictions, 0, np.isfinite(setting.table.utility), "lambda")
    return steps.choices(threshold)


@pytest.mark.parametrize("row", ROWS)
def test_it_chooses_as_the_pipeline_did_sample_by_sample(run, away, row):
    results = run.folder / "results/small"
    router = mmroute.load_router(away(row), trusted=["my_routers", "my_knn"])
    setting, queries = queries_of(results)
    for first, threshold in enumerate((0.0, 0.05, 0.7)):
        expected = pipeline_choices(results, row, setting, threshold)
        decisions = router.route_all(queries[first::3], trade_off=threshold)
        np.testing.assert_array_equal(decisions.choice, expected[first::3])
    names = setting.table.model_names
    for index in range(0, len(queries), 40):
        query = queries.iloc[index]
        answer = router.route(
            query["question"], query["image"], dataset=query["dataset"], trade_off=0.7
        )
        assert answer.model == names[expected[index]]


@pytest.mark.parametrize("row", ["knn", "knn+shrink", "linear_vl"])
def test_it_tells_what_the_pipeline_predicted(run, away, row):
    results = run.folder / "results/small"
    router = mmroute.load_router(away(row))
    setting, queries = queries_of(results)
    predictions = Predictions.read(results / f"routers/{row}/0/predictions.parquet")
    decisions = router.route_all(queries)
    np.testing.assert_allclose(decisions.utility, predictions.u_hat[0], atol=1e-5)
    np.testing.assert_allclose(decisions.cost_usd, predictions.c_hat[0] * setting.unit, rtol=1e-4)
    answer = decisions[3]
    assert answer.confidence == pytest.approx(np.clip(answer.utility[answer.model], 0, 1))


def test_the_model_card_measures_on_the_test_split(run, away):
    folder = away("knn")
    setting, _ = queries_of(run.folder / "results/small")
    choice = pipeline_choices(run.folder / "results/small", "knn", setting, 0.05)
    rows = np.arange(len(choice))
    card = json.loads((folder / "router.json").read_text())
    measured = card["measured"]
    assert measured["accuracy"] == pytest.approx(setting.table.utility[rows, choice].mean())
    assert measured["cost_usd_per_1000"] == pytest.approx(
        1000 * setting.table.cost[rows, choice].mean()
    )
    assert measured["accuracy_low"] < measured["accuracy"] < measured["accuracy_high"]
    text = (folder / "README.md").read_text()
    assert "simulated" in text
    assert f"{measured['accuracy']:.1%}" in text
    assert f"{measured['accuracy_low']:.1%} to {measured['accuracy_high']:.1%}" in text


def test_a_budget_is_kept_on_the_curve_it_was_chosen_on(run, away):
    router = mmroute.load_router(away("knn"))
    results = run.folder / "results/small"
    setting, _ = queries_of(results)
    crossfit = Predictions.read(results / "routers/knn/0/crossfit.parquet")
    training = setting.training
    curve = operating_curve(
        crossfit.u_hat[0], crossfit.c_hat[0], training.utility, training.cost, "lambda"
    )
    budget = 1000 * np.median(curve.cost)
    threshold = router.threshold(budget=budget)
    at = np.searchsorted(curve.threshold, threshold, side="right") - 1
    assert 1000 * curve.cost[at] < budget
    spent = [router.threshold(budget=share * budget) for share in (2, 1, 0.7)]
    assert spent == sorted(spent)
    with pytest.raises(InputError, match=r"budget: 1e-09 USD .* is not surely kept .* at least"):
        router.threshold(budget=1e-9)
    with pytest.raises(InputError, match="budget and trade_off: got both"):
        router.route("What?", budget=1, trade_off=1)


def test_a_router_of_the_policy_budget_goes_down_to_the_cheapest_models(run, config, exported):
    settings = load(config | {"policy": "budget"}, "my.yaml")
    export(settings, Path("results/small"), Choice("knn", 1.0, "for a test"), Path("budgeted"))
    router = mmroute.load_router("budgeted")
    assert router.route("What?").model in router.models
    export(settings, Path("results/small"), Choice("knn", LOWEST, "for a test"), Path("lowest"))
    answer = mmroute.load_router("lowest").route("What?")
    assert answer.cost_usd[answer.model] == min(answer.cost_usd.values())


def test_a_threshold_is_a_number_that_was_given(run, exported):
    with pytest.raises(InputError, match=r"threshold: missing for 'knn\+shrink'"):
        exported("knn+shrink", float("nan"))


def test_what_is_no_cost_is_not_paid(run, away):
    router = mmroute.load_router(away("knn"))
    budget = mmroute.Budget(router, 1e6)
    answer = budget.route("What?")
    for usd in (float("nan"), -1.0, float("inf")):
        with pytest.raises(InputError, match="is no cost in USD"):
            budget.paid(answer, usd)
    with pytest.raises(InputError, match="budget: inf is no number"):
        mmroute.Budget(router, float("inf"))


def test_a_single_model_can_be_the_decision(run, exported):
    folder = exported("GeminiFlash2-5", float("nan"))
    router = mmroute.load_router(folder)
    answer = router.route("Whatever?")
    assert answer.model == "GeminiFlash2-5"
    assert 0 < answer.confidence < 1
    with pytest.raises(InputError, match="trade_off"):
        router.route("Whatever?", trade_off=1)


def test_models_that_take_no_images_are_told_to_whoever_has_the_router(run, config, exported):
    results = Path("results/small")
    setting, queries = queries_of(run.folder / results)
    before = pipeline_choices(run.folder / results, "knn", setting, 0.05)
    own = np.bincount(before).argmax()
    name = setting.table.model_names[own]
    blind = load(config | {"decision": config["decision"] | {"blind": [name]}}, "my.yaml")
    export(blind, results, Choice("knn", 0.05, "for a test"), Path("sighted"))
    decisions = mmroute.load_router("sighted").route_all(queries, trade_off=0.05)
    seen = queries["image"].notna().to_numpy()
    assert not (decisions.choice[seen] == own).any()
    others = ~seen | (before != own)
    np.testing.assert_array_equal(decisions.choice[others], before[others])
    assert f"other models than {name}, which takes none" in Path("sighted/README.md").read_text()
    unknown = load(config | {"decision": config["decision"] | {"blind": ["nobody"]}}, "my.yaml")
    with pytest.raises(
        InputError, match="config key decision.blind: no model 'nobody' in the pool"
    ):
        export(unknown, results, Choice("knn", 0.05, ""), Path("no"))
    assert not Path("no").exists()


@pytest.mark.parametrize(
    ("row", "threshold", "said"),
    [
        ("oracle", 0.1, "cannot be used"),
        ("random", 0.1, "cannot be used"),
        ("nobody", 0.1, "no row 'nobody' in the config; it has: knn"),
        ("strongest+shrink", 0.1, "no row 'strongest.shrink'"),
        ("knn", float("nan"), "threshold: missing"),
    ],
)
def test_what_cannot_be_used_is_refused_and_leaves_nothing(
    exported, tmp_path, row, threshold, said
):
    with pytest.raises(InputError, match=said):
        exported(row, threshold)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(exported, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        exported("knn")
    assert (tmp_path / "out/mine").read_text() == "mine"


def test_files_of_two_runs_are_found_out(run, exported, tmp_path):
    stored = run.folder / "results/small/routers/knn/0/router.safetensors"
    own = stored.read_bytes()
    stored.write_bytes(
        (run.folder / "results/small/routers/kmeans_text/0/router.safetensors").read_bytes()
    )
    try:
        with pytest.raises((InputError, ValueError)):
            exported("knn")
    finally:
        stored.write_bytes(own)
    assert list(tmp_path.iterdir()) == []


def test_a_changed_file_is_refused(away):
    folder = away("knn")
    path = folder / "router.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"router\.safetensors: damaged or of another router"):
        mmroute.load_router(folder)
    with pytest.raises(InputError, match=r"router\.json: no such file"):
        mmroute.load_router(folder / "nowhere")


def test_an_encoder_that_gives_other_vectors_is_refused(away):
    folder = away("knn")
    card = json.loads((folder / "router.json").read_text())
    card["encoders"]["text"]["probe"] = card["encoders"]["text"]["probe"][::-1]
    (folder / "router.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"router\.json: damaged or of another router"):
        mmroute.load_router(folder)
    (folder / "SHA256SUMS").unlink()
    write_digests(folder)
    with pytest.raises(InputError, match="encoder 'builtin' of the text gives other vectors"):
        mmroute.load_router(folder).route("What?")


def test_the_digests_are_those_of_sha256sum(away):
    folder = away("knn")
    checked = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=folder, capture_output=True, check=True
    )
    assert checked.stdout.count(b": OK") == len(list(folder.iterdir())) - 1


def test_a_router_of_ones_own_is_trusted_by_name_only(away):
    folder = away("kernel")
    with pytest.raises(InputError, match="my_routers"):
        mmroute.load_router(folder)


def test_a_mixture_gives_each_model_its_share_and_repeats_itself(
    run, config, monkeypatch, tmp_path
):
    monkeypatch.syspath_prepend(str(run.folder))
    setting, queries = queries_of(run.folder / "results/small")
    first, second = setting.table.model_names[:2]
    with contextlib.chdir(run.folder):
        choice = Choice(first, np.nan, "for a test", Mixture(0, 1, 0.3, True))
        export(load(config, "my.yaml"), Path("results/small"), choice, tmp_path / "out")
        router = mmroute.load_router(tmp_path / "out")
        decisions = router.route_all(queries)
        again = router.route_all(queries.iloc[::-1])
        np.testing.assert_array_equal(decisions.choice, again.choice[::-1])
    shares = np.bincount(decisions.choice, minlength=len(router.models)) / len(queries)
    assert shares[:2].sum() == 1
    assert shares[1] == pytest.approx(0.3, abs=0.12)
    chosen = {router.route(f"What is {number}?").model for number in range(30)}
    assert chosen == {first, second}
    measured = json.loads((tmp_path / "out/router.json").read_text())["measured"]
    assert measured["traffic"][second] == pytest.approx(0.3)
    assert f"{second} for 30.0% of the queries" in (tmp_path / "out/README.md").read_text()


@pytest.fixture(scope="module")
def refitted(run, config, kept):
    """What is exported of the router that was trained on all labels, with a limit, and how."""
    with contextlib.chdir(run.folder), pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(run.folder))
        # What decides is no row of its own here.
        others = {row: own for row, own in config["routers"].items() if row != "knn"}
        settings = load(config | {"routers": others}, "my.yaml")
        results = Path("results/small")
        advised = decided(settings, results, "budget", "50%")
        # Whether it is advised or not, it is the router that is looked at here.
        labels = Evidence.read(
            setting_of(results),
            "knn",
            "all",
            map(Path, evidence_files(str(results), "knn", "0", "all")),
        ).learned
        asked = Limit(0.5, paired=True)
        point = labels.spending.at(asked, labels.labels.usd(asked))
        choice = replace(
            advised, row="knn", threshold=labels.spending.threshold[point], asked=asked
        )
        export(settings, results, choice, kept / "refitted")
    return kept / "refitted", labels


def test_a_refitted_router_keeps_its_limit_on_the_queries_at_hand(run, refitted):
    folder, labels = refitted
    router = mmroute.load_router(folder)
    limit = router.card.limit
    assert limit.usd == pytest.approx(0.5 * labels.labels.mean_cost[labels.labels.best])
    assert router.card.n_labels == len(labels.table.samples)
    _, queries = queries_of(run.folder / "results/small")
    foreseen = router.foresee(queries)
    decisions = router.decide(foreseen)
    assert decisions.kept
    chosen = decisions.choice
    listed = np.array([model.cost_usd for model in router.card.models])[chosen].mean()
    predicted = decisions.cost_usd[np.arange(len(chosen)), chosen].mean()
    reserve = limit.reserve_usd * router.error(len(chosen))
    assert (
        max(limit.listed_ratio * listed, limit.predicted_ratio * predicted) + reserve <= limit.usd
    )
    with_budget = router.decide(foreseen, budget=1000 * limit.usd)
    assert with_budget.kept
    # A limit in USD is kept more surely than one in percent, so at least as cheaply.
    assert with_budget.cost_usd[np.arange(len(chosen)), with_budget.choice].mean() <= predicted
    few = router.decide(foreseen.take(np.array([0])), budget=1000 * limit.usd)
    assert few.kept is False
    assert few[0] == router.choose(foreseen, router.threshold(1000 * limit.usd))[0]


def test_a_stream_keeps_its_budget_whatever_comes(run, refitted):
    folder, labels = refitted
    router = mmroute.load_router(folder)
    setting, queries = queries_of(run.folder / "results/small")
    cost = setting.table.cost
    dear = cost[:, labels.labels.best]
    usd = 1000 * router.card.limit.usd
    for order in (np.arange(len(dear)), np.argsort(dear), np.argsort(-dear)):
        budget, rows = mmroute.Budget(router, usd), np.tile(order, 4)
        foreseen, paid = router.foresee(queries.iloc[order]), 0.0
        for number, row in enumerate(rows):
            answer = budget.decide(foreseen.take(np.array([number % len(order)])))[0]
            own = cost[row, router.models.index(answer.model)]
            budget.paid(answer, own)
            paid += own
        assert budget.n_queries == len(rows)
        assert budget.spent_usd == pytest.approx(paid)
        # A call may cost more than was foreseen.
        assert paid <= (len(rows) + ADVANCE) * usd / 1000 + cost.max()
    untold = mmroute.Budget(router, usd)
    decisions = untold.decide(router.foresee(queries))
    assert untold.spent_usd <= len(queries) * usd / 1000
    assert untold.kept
    assert decisions.choice.tolist() != [decisions.choice[0]] * len(decisions)
    asked = mmroute.Budget(router, usd)
    first = asked.route(queries["question"].iloc[0], queries["image"].iloc[0])
    assert first == decisions[0]
    with pytest.raises(InputError, match="budget: 1e-09 USD .* is not surely kept"):
        mmroute.Budget(router, 1e-9)


def test_a_stream_says_when_its_budget_cannot_be_kept(run, refitted):
    router = mmroute.load_router(refitted[0])
    _, queries = queries_of(run.folder / "results/small")
    least = 1000 * min(model.cost_usd for model in router.card.models)
    budget = mmroute.Budget(router, 3 * least)
    foreseen = router.foresee(queries.head(20))
    for row in range(20):
        answer = budget.decide(foreseen.take(np.array([row])))[0]
        # As if every model had become a hundred times dearer.
        budget.paid(answer, 100 * 3 * least / 1000)
    assert not budget.kept


def test_bad_queries_are_refused_in_one_line(away, tmp_path):
    router = mmroute.load_router(away("knn"))
    with pytest.raises(InputError, match="query 1: neither text nor image"):
        router.route(" ")
    with pytest.raises(InputError, match="query 1: no image 'gone.png'"):
        router.route("What?", "gone.png")
    with pytest.raises(InputError, match="query 1: the image .* cannot be decoded"):
        router.route("What?", b"no image at all")
    with pytest.raises(InputError, match="query 2: the question is 3"):
        router.route_all(pd.DataFrame({"question": ["What?", 3]}))


def test_images_come_as_files_or_as_their_content(run, away):
    router = mmroute.load_router(away("knn"))
    _, queries = queries_of(run.folder / "results/small")
    image = Path(queries["image"].dropna().iloc[0])
    assert router.route("What?", image) == router.route("What?", image.read_bytes())
    assert router.route("What?", image) != router.route("What?")
    other = Path(queries["image"].dropna().iloc[1])
    both = router.route("What?", [image, other.read_bytes()])
    assert both == router.route("What?", [str(other), image])
    several = pd.DataFrame({"question": ["What?"], "image": [[str(image), other]]})
    assert router.route_all(several)[0] == both


@pytest.fixture(scope="module")
def command(warm_python):
    """Return a function that runs ``mmroute`` as from a shell."""

    def run(*arguments, folder):
        own = Path(folder, "src")
        return subprocess.run(
            [warm_python, "-m", "mmroute.cli", *map(str, arguments)],
            cwd=folder,
            env=os.environ | ({"PYTHONPATH": str(own)} if own.is_dir() else {}),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_shell_exports_what_was_decided_and_routes(command, run, config, tmp_path):
    (run.folder / "my.yaml").write_text(yaml.safe_dump(config))
    out = tmp_path / "out"
    done = command("export", "my.yaml", out, "--budget", "50%", folder=run.folder)
    assert done.returncode == 0, done.stderr
    decision = pd.read_csv(run.folder / "results/small/decision.csv")
    row = decision[decision["amount"] == "50%"].iloc[0]
    card = json.loads((out / "router.json").read_text())
    assert card["row"] == (row["first"] if pd.isna(row["router"]) else row["router"])
    mixture = {"first": row["first"], "second": row["second"], "share": row["second_share"]}
    assert card["mixture"] == pytest.approx(mixture)
    assert card["labels"] == "all"
    assert card["measured"]["accuracy"] == pytest.approx(row["accuracy"])
    assert card["measured"]["cost_usd_per_1000_high"] == pytest.approx(
        row["cost_usd_per_1000_high"]
    )
    router = mmroute.load_router(out)
    done = command("route", out, "What is shown?", folder=tmp_path)
    assert json.loads(done.stdout) == router.route("What is shown?")._asdict()

    (tmp_path / "q.jsonl").write_text(
        '{"text": "What is shown?"}\n{"text": "<b>Why?\\u001b</b>"}\n'
    )
    done = command("route", out, "--jsonl", "q.jsonl", folder=tmp_path)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 2
    assert answers[0]["model"] == router.route("What is shown?").model

    for given, said in (
        (("--jsonl", "gone.jsonl"), "gone.jsonl: No such file"),
        ((), "give a query"),
        (("x", "--budget", "0"), "budget: 0.0 USD"),
    ):
        done = command("route", out, *given, folder=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    (tmp_path / "q.jsonl").write_text('{"text": "a"}\n{"question": "a"}\n')
    done = command("route", out, "--jsonl", "q.jsonl", folder=tmp_path)
    assert "q.jsonl, line 2" in done.stderr
    for content, said in (
        (b'{"text": "caf\xe9"}', "q.jsonl, line 1: text is no text in UTF-8"),
        (b'{"text": "a\\ud800"}', "q.jsonl, line 1: text is no text in UTF-8"),
        (b'{"text": ' + b"[" * 100_000, "q.jsonl, line 1: no JSON"),
        (None, "is a pipe, no regular file"),
    ):
        (tmp_path / "q.jsonl").unlink()
        if content is None:
            os.mkfifo(tmp_path / "q.jsonl")
        else:
            (tmp_path / "q.jsonl").write_bytes(content)
        done = command("route", out, "--jsonl", "q.jsonl", folder=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1

    for given, said in (
        (("--budget", "7%"), "nothing was decided for the budget '7%', only for 50%, 1000.0"),
        (("--accuracy", "1.0"), "nothing surely keeps the accuracy '1.0'"),
        ((), "give one of --budget, --accuracy, --router and --exported"),
        (("--budget", "50%", "--threshold", "1"), "--threshold"),
    ):
        done = command("export", "my.yaml", tmp_path / "new", *given, folder=run.folder)
        assert done.returncode == 2
        assert said in done.stderr
        assert not (tmp_path / "new").exists()


NEWCOMER = "newcomer"


@pytest.fixture
def labelled(run, tmp_path):
    """Return a file of labels of a new model on the training samples, what is in it, and where."""
    setting = setting_of(run.folder / "results/small")
    training = setting.training
    best = int(np.nanargmax(np.nanmean(training.utility, axis=0)))
    labels = pd.DataFrame(
        {
            "sample_id": training.samples["sample_id"],
            "model": NEWCOMER,
            # As good as the best model, at a tenth of its cost.
            "utility": training.utility[:, best],
            "cost": training.cost[:, best] / 10,
        }
    )
    labels.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path / "labels.csv", labels, setting


@pytest.mark.parametrize("row", ["uniroute", "uniroute+shrink"])
def test_the_shell_lets_a_new_model_join(command, run, config, labelled, tmp_path, row):
    path, labels, setting = labelled
    results = run.folder / "results/small"
    (run.folder / "my.yaml").write_text(yaml.safe_dump(config))
    given = ("export", "my.yaml", tmp_path / "out", "--router", row, "--threshold", "0.05")
    done = command(*given, "--add-model", path, folder=run.folder)
    assert done.returncode == 0, done.stderr
    router = mmroute.load_router(tmp_path / "out")
    assert router.models == [*setting.table.model_names, NEWCOMER]
    card = router.card
    assert card.n_labels == len(labels)
    assert card.models[-1].utility == pytest.approx(labels["utility"].mean())
    assert card.models[-1].cost_usd == pytest.approx(labels["cost"].mean())
    assert f"{NEWCOMER} joined it by labels of {len(labels)} queries" in card.reason

    _, queries = queries_of(results)
    decisions = router.route_all(queries)
    predictions = Predictions.read(results / f"routers/{row}/0/predictions.parquet")
    np.testing.assert_allclose(decisions.utility[:, :-1], predictions.u_hat[0], atol=1e-5)
    np.testing.assert_allclose(decisions.cost_usd[:, -1], labels["cost"].mean())
    assert decisions.utility[:, -1].std() > 0
    # The best model is a tenth of its price: it gets what that got, and more.
    assert (decisions.choice == len(router.models) - 1).mean() > 0.5

    measured = card.measured
    assert measured["samples"] == len(labels)
    assert measured["accuracy_low"] < measured["accuracy"] < measured["accuracy_high"]
    assert measured["traffic"][NEWCOMER] > 0.5
    text = (tmp_path / "out/README.md").read_text()
    assert f"{NEWCOMER} joined a router that was trained without it" in text
    assert "Its operating point was chosen" not in text
    assert router.route("What?", budget=1e6).model in router.models


def test_a_new_model_joins_what_was_exported(command, run, config, labelled, away, tmp_path):
    path, *_ = labelled
    (run.folder / "my.yaml").write_text(yaml.safe_dump(config))

    def joined(folder, *given):
        done = command(
            "export", "my.yaml", tmp_path / folder, "--add-model", path, *given, folder=run.folder
        )
        return done.returncode, done.stderr

    before = away("uniroute+shrink")
    same = "--router", "uniroute+shrink", "--threshold", "0.05"
    assert joined("one", "--exported", before) == (0, "")
    assert joined("other", *same) == (0, "")
    for name in ("router.safetensors", "curve.safetensors", "features.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    one, other = (read_json(tmp_path / name / "router.json") for name in ("one", "other"))
    assert one["reason"].startswith("for a test; newcomer joined it")
    assert one | {"reason": "", "mixture": {}} == other | {"reason": "", "mixture": {}}

    def refused(said, folder, *given):
        code, told = joined("new", "--exported", folder, *given)
        assert code == 2
        assert told.startswith("error: ")
        assert said in told
        assert told.count("\n") == 1
        assert not (tmp_path / "new").exists()

    refused("router.json: models: not the pool of results/small", tmp_path / "one")
    refused("--labels: what was exported has its own", before, "--labels", "all")
    refused("router.json: no such file", tmp_path)
    stranger = shutil.copytree(before, tmp_path / "stranger")
    (stranger / "router.safetensors").write_bytes(b"another")
    refused("router.safetensors: damaged or of another router", stranger)
    (stranger / "SHA256SUMS").unlink()
    write_digests(stranger)
    refused("router.safetensors: not the router 'uniroute+shrink' of results/small", stranger)
    (before / "router.json").write_text("[" * 10_000)
    refused("router.json: not readable as JSON", before)


def test_no_model_joins_what_is_no_such_router(command, run, config, labelled, away, tmp_path):
    path, *_ = labelled
    (run.folder / "my.yaml").write_text(yaml.safe_dump(config))
    given = ("export", "my.yaml", tmp_path / "new", "--exported", away("knn"))
    done = command(*given, "--add-model", path, folder=run.folder)
    assert done.returncode == 2
    assert "no model can join 'knn' without training" in done.stderr
    assert not (tmp_path / "new").exists()


def test_what_is_known_of_a_new_model_goes_by_its_labels(run, config, labelled, exported, tmp_path):
    path, labels, _ = labelled
    labels.head(25).to_csv(path, index=False)
    settings, results = load(config, "my.yaml"), Path("results/small")
    asked = Limit(0.9, paired=True)
    choice = Choice("uniroute", 0.0, "for a test", asked=asked)
    export(settings, results, choice, tmp_path / "out", path)
    card = mmroute.load_router(tmp_path / "out").card
    setting = setting_of(results)
    best = int(np.nanargmax(np.nanmean(setting.training.utility, axis=0)))
    # The limit is a share of what the best of the old models costs.
    assert card.limit.usd == pytest.approx(0.9 * setting.training.cost[:25, best].mean())
    assert card.threshold in mmroute.load_router(tmp_path / "out")._curve["threshold"].to_numpy()
    assert card.n_labels == 25
    assert "Its operating point was chosen on them, too" in (tmp_path / "out/README.md").read_text()
    with pytest.raises(InputError, match="labels of 25 queries nothing surely keeps what was dec"):
        hopeless = replace(choice, asked=Limit(1e-6, paired=True))
        export(settings, results, hopeless, tmp_path / "other", path)
    assert not (tmp_path / "other").exists()


def test_labels_that_no_model_can_join_by_are_refused(command, run, config, labelled, tmp_path):
    path, labels, setting = labelled
    (run.folder / "my.yaml").write_text(yaml.safe_dump(config))
    test = setting.table.samples["sample_id"].iloc[0]

    def refused(said, *given):
        done = command("export", "my.yaml", tmp_path / "out", *given, folder=run.folder)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
        assert {found.name for found in tmp_path.iterdir()} <= {"labels.csv", "pipe"}

    row = ("--router", "uniroute", "--threshold", "0.05")
    for changed, said in (
        ({"sample_id": test}, f"row 1: sample_id is {test!r}, which is no sample that the router"),
        ({"utility": 2.0}, "holds '2.0', which is no finite number from 0 to 1"),
        ({"model": setting.table.model_names[0]}, "which is in the pool already; rename it"),
    ):
        labels.assign(**changed).to_csv(path, index=False)
        refused(said, *row, "--add-model", path)
    pd.concat([labels, labels]).to_csv(path, index=False)
    refused("stands twice; keep one row", *row, "--add-model", path)
    labels.to_csv(path, index=False)
    for one, threshold in (("knn", "0.1"), ("strongest", "0.1")):
        given = ("--router", one, "--threshold", threshold, "--add-model", path)
        refused(f"no model can join {one!r} without training", *given)
    alone = ("--router", setting.table.model_names[0], "--add-model", path)
    refused("without training", *alone)
    refused("No such file", *row, "--add-model", tmp_path / "gone.csv")
    os.mkfifo(tmp_path / "pipe")
    refused("pipe", *row, "--add-model", tmp_path / "pipe")


def test_the_shell_tells_of_logged_traffic(command, run, away, tmp_path):
    setting, queries = queries_of(run.folder / "results/small")
    out, table, queries = away("knn"), setting.table, queries.reset_index(drop=True)
    log, generator = DecisionLog(tmp_path / "log.jsonl"), np.random.default_rng(0)
    with (tmp_path / "q.jsonl").open("w") as stream:
        for row, query in queries.iterrows():
            model = int(generator.integers(len(table.models)))
            told = {"model": table.model_names[model], "propensity": 1 / len(table.models)}
            log.write(Decision(id=f"q{row}", time=datetime.now(UTC), **told))
            if np.isfinite(table.utility[row, model]):
                paid = {"utility": table.utility[row, model], "cost_usd": table.cost[row, model]}
                log.write(Outcome(id=f"q{row}", **paid))
            image = None if pd.isna(query["image"]) else query["image"].split(BETWEEN)
            own = {"id": f"q{row}", "text": query["question"], "image": image}
            stream.write(json.dumps(own) + "\n")
    done = command("shadow", out, "log.jsonl", "--queries", "q.jsonl", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{len(queries):,} decisions" in done.stdout
    assert "the router, as it predicts: no measurement" in done.stdout
    # It has learned of few queries only.
    assert "whether the queries have drifted is not told" in done.stdout
    (out / "seen.safetensors").unlink()
    sums = (out / "SHA256SUMS").read_text().splitlines()
    assert any("seen.safetensors" in line for line in sums)
    older = [line for line in sums if "seen.safetensors" not in line]
    (out / "SHA256SUMS").write_text("\n".join(older) + "\n")
    done = command("shadow", out, "log.jsonl", "--queries", "q.jsonl", folder=tmp_path)
    assert "drift is not told: export the router again" in done.stdout
    done = command("shadow", out, "log.jsonl", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the log holds neither this router's predictions")


def test_run_passes_everything_on_to_snakemake(command, run, config):
    (run.folder / "my.yaml").write_text(yaml.safe_dump(config))
    done = command("run", "my.yaml", "decision", "--dry-run", folder=run.folder)
    assert done.returncode == 0, done.stderr
    assert "Training" not in done.stdout
    done = command("run", "my.yaml", "nothing_such", "--cores", "1", folder=run.folder)
    assert done.returncode == 1
    (run.folder / "bad.yaml").write_text("name: x\nsource: {kind: demo, sample: 3}\n")
    done = command("run", "bad.yaml", folder=run.folder)
    assert done.returncode == 2
    assert "demo.sample: unknown key" in done.stderr


def test_help_names_every_command(command):
    done = command("--help", folder=Path.cwd())
    assert done.returncode == 0
    assert {command.callback.__name__ for command in app.registered_commands} == {
        line.split()[0] for line in done.stdout.split("Commands:")[1].strip().splitlines()
    }
