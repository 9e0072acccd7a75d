"""Changing one thing rebuilds only what depends on it."""

import shutil
from contextlib import ExitStack, contextmanager

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

AFTER_TRAINING = {
    "Deciding under the config's budgets and quality targets",
    "Writing the main tables",
    "Telling how fast the routers decide",
    "Drawing the main figures",
    "Running the notebook overview",
    "Running the notebook frontier",
    "Rendering the report",
    "Recording where the results come from",
}


def jobs_of(router):
    """Return the messages of what a new or changed router causes."""
    return AFTER_TRAINING | {
        f"Training {router} (salt 0)",
        f"Shrinking the predictions of {router} (salt 0)",
        f"Tracing the operating curves of {router} (salt 0)",
        f"Tracing the operating curves of {router}+shrink (salt 0)",
    }


@contextmanager
def edited(file, text):
    """Append to a file, and put it back as it was, its time included."""
    keep = file.with_name(file.name + ".keep")
    shutil.copy2(file, keep)
    try:
        file.write_text(file.read_text() + text)
        yield
    finally:
        keep.replace(file)


def after_edit(checkout, config, path, text="\nassert True\n"):
    with edited(checkout.folder / path, text):
        return checkout.planned(config)


def test_a_second_run_does_nothing(finished, small):
    assert finished.planned(small) == set()
    assert finished.run(small) == set()


def test_a_router_retrains_alone(finished, small):
    assert after_edit(finished, small, "src/mmroute/routers/knn.py") == jobs_of("knn")


def test_figures_only_render_again(finished, small):
    assert after_edit(finished, small, "src/mmroute/presentation/figures.py") == {
        "Drawing the main figures",
        "Rendering the report",
        "Recording where the results come from",
    }


def test_the_reports_template_only_renders_the_report(finished, small):
    planned = after_edit(finished, small, "src/mmroute/report/report.html.j2", "<!-- edited -->\n")
    assert planned == {"Rendering the report", "Recording where the results come from"}


def test_a_metric_trains_nothing(finished, small):
    planned = after_edit(finished, small, "src/mmroute/evaluation/metrics.py")
    rows = [*small["routers"], "knn+shrink", "linear+shrink"]
    assert {job for job in planned if "Tracing" in job} == {
        f"Tracing the operating curves of {row} (salt 0)" for row in rows
    }
    assert not {job for job in planned if job.startswith(("Training", "Fusing", "Embedding"))}


def test_an_encoder_embeds_its_own_modalities_again(finished, small):
    planned = after_edit(finished, small, "src/mmroute/encoders/builtin.py")
    assert len({job for job in planned if job.startswith("Embedding")}) == 14
    assert not {job for job in planned if job.startswith(("Fetching", "Reading"))}


def test_what_nothing_reaches_rebuilds_nothing_and_no_comment_does(finished, small):
    with ExitStack() as stack:
        stack.enter_context(edited(finished.folder / "README.md", "edited"))
        for module in ("encoders/open_clip", "sources/table"):
            file = finished.folder / f"src/mmroute/{module}.py"
            stack.enter_context(edited(file, "\nassert True\n"))
        for module in ("errors", "storage", "routers/knn", "evaluation/curve", "report/html"):
            file = finished.folder / f"src/mmroute/{module}.py"
            stack.enter_context(edited(file, '\n# A comment.\n"""And a text."""\n'))
        assert finished.planned(small) == set()


def test_a_new_router_leaves_the_others_alone(finished, small):
    more = small | {"routers": small["routers"] | {"kmeans": {}}}
    # What is advised hangs on the router that was named, and on no other.
    deciding = {"Deciding under the config's budgets and quality targets"}
    assert finished.planned(more) == jobs_of("kmeans") - deciding


def test_a_hyper_parameter_retrains_its_router(finished, small):
    other = small | {"routers": small["routers"] | {"knn": {"n_neighbors": 7}}}
    assert {job for job in finished.planned(other) if job.startswith("Training")} == {
        "Training knn (salt 0)"
    }


def test_what_measures_trains_nothing(finished, small):
    with ExitStack() as stack:
        for path in ("evaluation/curve.py", "evaluation/exact.py", "experiments/pool.py"):
            file = finished.folder / f"src/mmroute/{path}"
            stack.enter_context(edited(file, "\nassert True\n"))
        planned = finished.planned(small)
    assert planned
    assert not {job for job in planned if job.startswith(("Training", "Fusing", "Embedding"))}


def test_an_experiment_adds_its_own_jobs_only(finished, small):
    planned = finished.planned(small | {"experiments": {"main": {}, "uncertainty": {}}})
    assert not {job for job in planned if "Tracing" in job or job.startswith("Embedding")}
    assert "Running the experiment uncertainty (salt 0)" in planned


def test_perturbed_questions_are_embedded_and_asked_without_training_anew(finished, small):
    planned = finished.planned(small | {"experiments": {"main": {}, "robustness": {}}})
    # The ensemble's features, which no other router reads.
    own = {job for job in planned if "ensemble" in job or job.startswith(("Measuring", "Fusing"))}
    assert not {job for job in planned - own if job.startswith(("Training", "Tracing"))}
    embedded = {job for job in planned if job.startswith("Embedding")}
    assert len(embedded) == 7
    assert all(job.startswith("Embedding the perturbed questions of ") for job in embedded)
    assert {job for job in planned if job.startswith("Asking")} == {
        f"Asking {router} perturbed questions (salt 0)" for router in ("knn", "linear", "ensemble")
    }
    assert "Running the experiment robustness (salt 0)" in planned


def test_a_new_router_module_is_one_file_and_one_line_of_config(finished, small):
    module = finished.folder / "src/mmroute/routers/mine.py"
    knn = (finished.folder / "src/mmroute/routers/knn.py").read_text()
    module.write_text(knn.replace('"knn"', '"mine"').replace("class KNN", "class Mine"))
    try:
        planned = finished.planned(small | {"routers": small["routers"] | {"mine": {}}})
    finally:
        module.unlink()
    assert {job for job in planned if job.startswith("Training")} == {"Training mine (salt 0)"}


MEASURED = ["results/own/tables/table2.csv", "results/own/tables/models.csv"]


def write_own_table(folder, datasets, models=(("small", 1), ("large", 2)), first=40):
    """Write a long table of 40 text questions per data set, or ``first`` of the first one."""
    rows = [
        {
            "sample_id": f"{dataset}-{index}",
            "dataset": dataset,
            "question": f"What is {index} plus {len(dataset)}?",
            "model": model,
            "utility": (index * weight) % 3 > 0,
            "prompt_tokens": 10 + index,
            "completion_tokens": weight * index,
        }
        for dataset in datasets
        for index in range(first if dataset == datasets[0] else 40)
        for model, weight in models
    ]
    pd.DataFrame(rows).to_csv(folder / "own.csv", index=False)


def write_prices(folder, large):
    prices = {
        "model": ["small", "large", "medium"],
        "usd_per_1m_prompt_tokens": [1, large, 5],
        "usd_per_1m_completion_tokens": [1, large, 5],
    }
    pd.DataFrame(prices).to_csv(folder / "prices.csv", index=False)


@pytest.fixture(scope="module")
def own(make_checkout):
    """Return a checkout and a config in which a user's own table has run."""
    checkout = make_checkout()
    write_own_table(checkout.folder, ["first", "second"])
    write_prices(checkout.folder, 10)
    config = {
        "name": "own",
        "source": {"kind": "table", "path": "own.csv", "prices": "prices.csv"},
        "routers": {"knn": {}, "cheapest": {}},
        "decision": {"router": "knn", "labels": "train"},
        "resamples": 100,
        "shard_size": {"embed": 25},
    }
    checkout.run(config, *MEASURED)
    return checkout, config


def test_a_price_re_runs_nothing_before_costs_enter(own):
    checkout, config = own
    prices = checkout.folder / "prices.csv"
    with edited(prices, ""):
        write_prices(checkout.folder, 20)
        planned = checkout.planned(config)
    assert "Building the outcome table: pool, prices, costs" in planned
    assert "Training knn (salt 0)" in planned
    before_costs = ("Fetching", "Reading", "Freezing", "Embedding", "Fusing")
    assert not {job for job in planned if job.startswith(before_costs)}


def test_a_new_data_set_and_a_new_sample_embed_only_their_shards(own):
    checkout, config = own
    write_own_table(checkout.folder, ["first", "second", "third"], first=41)
    ran = checkout.run(config, *MEASURED)
    assert {job for job in ran if job.startswith("Embedding")} == {
        f"Embedding the {modality}s of {shard}, with builtin"
        for modality in ("text", "image")
        for shard in ("first, shard 1", "third, shard 0", "third, shard 1")
    }
    table = pd.read_csv(checkout.folder / "results/own/tables/table2.csv")
    assert {"first", "second", "third", "full"} <= set(table["dataset"])


def test_a_new_model_embeds_nothing(own):
    checkout, config = own
    models = (("small", 1), ("large", 2), ("medium", 4))
    write_own_table(checkout.folder, ["first", "second", "third"], models, first=41)
    ran = checkout.run(config, *MEASURED)
    assert not {job for job in ran if job.startswith(("Embedding", "Fusing", "Freezing"))}
    assert "Training knn (salt 0)" in ran
    pool = pd.read_csv(checkout.folder / "results/own/tables/models.csv")
    assert pool["model"].tolist() == ["small", "large", "medium"]


def test_groups_split_anew_and_embed_nothing_and_small_data_sets_count_together(own):
    checkout, config = own
    models = (("small", 1), ("large", 2), ("medium", 4))
    write_own_table(checkout.folder, ["first", "second", "third"], models, first=41)
    path = checkout.folder / "own.csv"
    table = pd.read_csv(path)
    number = table["sample_id"].str.split("-").str[1].astype(int)
    table["group"] = number // 4
    path.write_text(table.to_csv(index=False))
    ran = checkout.run(config, *MEASURED)
    assert not {job for job in ran if job.startswith("Embedding")}
    assert {"Freezing the splits", "Training knn (salt 0)"} <= ran
    splits = pd.read_parquet(checkout.folder / "results/own/splits.parquet")
    group = splits["sample_id"].str.replace(
        r"\d+", lambda found: str(int(found[0]) // 4), regex=True
    )
    assert splits["0"].groupby(group).nunique().eq(1).all()

    table.loc[table["dataset"] == "third", "scenario"] = "small ones"
    table.loc[table["dataset"] == "third", "dataset"] = "third " + (number // 4).astype(str)
    path.write_text(table.to_csv(index=False))
    checkout.run(
        config, *MEASURED, "results/own/tables/datasets.csv", "results/own/figures/fig4.svg"
    )
    rows = pd.read_csv(checkout.folder / "results/own/tables/table2.csv")["dataset"].unique()
    assert [row for row in rows if "(macro)" not in row] == ["first", "second", "macro", "full"]
    assert "small ones (macro)" in rows
    counted = pd.read_csv(checkout.folder / "results/own/tables/datasets.csv")
    assert counted["small"].tolist() == [False] * 2 + [True] * 10 + [False]
    notices = (checkout.folder / "results/own/tables/notices.json").read_text()
    assert "without a row of their own: third 0 (4), third 1 (4)" in notices
