"""A made-up report, which the tests of its page share."""

import math

import pandas as pd
from made_up_chart import made_up_chart

from mmroute.decision.words import Card
from mmroute.report.html import Figure, Frame, Report, Section

HOSTILE = "<script>alert(1)</script>{{ 7 * 7 }}{% raw %}$x$&\"'"

NEVER = math.inf
UNDEFINED = math.nan


def table_of(metrics, datasets=("A", HOSTILE, "full"), salts=1):
    """Build the main table from {metric: {router: (value, low, high, p_best, infinite)}}.

    ``TRAINING`` ranks the routers there.
    """
    rows = [
        (level, dataset, router, metric, *numbers, 0.0, UNDEFINED, salts)
        for metric, routers in metrics.items()
        for router, numbers in routers.items()
        for dataset in datasets
        for level in [dataset if dataset in ("full", "macro") else "dataset"]
    ]
    columns = ["level", "dataset", "router", "metric", "value", "low", "high", "p_best"]
    table = pd.DataFrame(rows, columns=[*columns, "infinite", "undefined", "salt_sd", "salts"])
    table["training"] = table["router"].map(TRAINING)
    tested = table["metric"].str.startswith("gain") & (table["router"] != "zero")
    return table.assign(p_value=tested.map({True: 0.3, False: UNDEFINED}))


TRAINING = {"knn": 0.7, "linear": 0.65, "weak": 0.6}
METRICS = {
    "nauc": {
        "best_single": (0.9, 0.88, 0.92, UNDEFINED, 0.0),
        "knn": (0.6, 0.57, 0.63, 0.3, 0.0),
        "linear": (0.61, 0.58, 0.64, 1.0, 0.0),
        "weak": (0.5, 0.47, 0.53, 0.002, 0.0),
        "oracle": (0.99, 0.98, 1.0, UNDEFINED, 0.0),
    },
    "nauc_honest": {
        "knn": (0.58, 0.55, 0.61, 0.05, 0.0),
        "linear": (0.59, 0.56, 0.62, 1.0, 0.0),
        "weak": (0.49, 0.46, 0.52, 0.049, 0.0),
        "oracle": (0.98, 0.97, 0.99, UNDEFINED, 0.0),
    },
    "peak_score": {"knn": (0.8, 0.78, 0.82, 1.0, 0.0)},
    "peak_score_honest": {"knn": (0.79, 0.77, 0.81, 1.0, 0.0)},
    "qnc": {
        "best_single": (1.0, 1.0, 1.0, UNDEFINED, 0.0),
        "knn": (0.4, 0.35, 0.55, 1.0, 0.34),
        "weak": (NEVER, 0.9, NEVER, 0.002, 0.97),
        "hopeless": (NEVER, NEVER, NEVER, 0.002, 1.0),
        "oracle": (0.1, 0.09, 0.11, UNDEFINED, 0.0),
    },
    "auroc": {"knn": (0.66, 0.65, 0.67, 1.0, 0.0)},
    "gain": {
        "zero": (0.0, UNDEFINED, UNDEFINED, UNDEFINED, 0.0),
        "knn": (0.02, 0.01, 0.03, 0.3, 0.0),
        "linear": (0.03, 0.02, 0.04, 1.0, 0.0),
    },
    "gain_honest": {
        "zero": (0.0, UNDEFINED, UNDEFINED, UNDEFINED, 0.0),
        "knn": (0.014, -0.016, 0.044, 1.0, 0.0),
        "linear": (0.004, -0.026, 0.034, 0.05, 0.0),
    },
    "qnc_honest": {"knn": (0.45, 0.4, 0.5, 1.0, 0.0)},
    "parity_honest": {"knn": (-0.015, -0.035, 0.005, 1.0, 0.0)},
    "saving_90": {"knn": (0.25, 0.125, 0.5, 1.0, 0.0)},
    "saving_95": {"knn": (-0.5, -1.25, 0.375, 1.0, 0.0)},
    "saving_100": {"knn": (-NEVER, -NEVER, 0.0625, 1.0, 0.6)},
}


NOT_REACHED = METRICS | {
    "qnc_honest": {"knn": (NEVER, NEVER, NEVER, 1.0, 1.0)},
    "parity_honest": {"knn": (UNDEFINED,) * 4 + (0.0,)},
}


def single(model, utility, cost, dataset="full"):
    return {
        "dataset": dataset,
        "model": model,
        "utility": utility,
        "utility_low": utility - 0.03,
        "utility_high": utility + 0.03,
        "cost": cost,
        "cost_usd": cost / 100,
        "cost_usd_low": cost / 110,
        "cost_usd_high": cost / 90,
        "coverage": 0.875,
        "samples": 1280 if dataset == "full" else 7,
    }


POINT_METRICS = {
    "accuracy": (0.8, 0.78, 0.82),
    "cost": (0.5, 0.4, 0.6),
    "cost_usd": (0.005, 0.004, 0.006),
    "routing_accuracy": (0.9, 0.88, 0.92),
    "optimal_selection": (0.31, 0.3, 0.32),
    "ece": (0.071, 0.06, 0.08),
}


def points_of(router, point, dataset="full", **given):
    rows = [
        (dataset, dataset, router, point, metric, *numbers)
        for metric, numbers in (POINT_METRICS | given).items()
    ]
    columns = ["level", "dataset", "router", "point", "metric", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


COMMIT = "c0ffee" * 6 + "abcd"


def digests_of(name, samples):
    parts = {part: f"{name}-{part}-".ljust(32, "0") for part in ("split", "text", "image", "all")}
    return {"folder": name, "name": name, "samples": samples} | parts


def drawn(path, text):
    return dict.fromkeys(["fig4", "figS1", "calibration", "models"], Figure(path, text, text))


def made_up_report(folder):
    (folder / "figure.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    counts = dict.fromkeys(
        ["samples", "train", "test", "no_text", "no_image", "undecodable_images"], 1
    )
    return Report(
        title="bench",
        simulated=False,
        table=table_of(METRICS),
        points=pd.concat(
            [
                points_of("knn", "peak"),
                points_of("knn", "parity", cost_usd=(0.00002, 0.00001, 0.00003)),
                points_of("knn", "peak", "A", accuracy=(0.123, 0.12, 0.13)),
                points_of("weak", "peak", accuracy=(0.45, 0.43, 0.47)),
            ]
        ),
        differences=pd.DataFrame(
            [
                ("nauc_honest", "linear", "knn", -0.01, -0.02, 0.0, 0.05),
                ("nauc_honest", "weak", "knn", -0.1, -0.12, -0.08, 0.002),
                ("nauc_honest", "weak", "linear", -0.1, -0.12, -0.08, 2 / 1001),
                ("nauc", "weak", "linear", -0.777, -0.8, -0.7, 0.002),
                ("peak_score_honest", "zero", "knn", 0.04, -0.01, 0.09, 0.12),
                ("peak_score_honest", "zero", "linear", 0.5, 0.4, 0.6, 0.002),
            ],
            columns=["metric", "router", "other", "difference", "low", "high", "p_value"],
        ),
        answers=[f"Routing pays here: {HOSTILE}"],
        cards=[Card("At most $1", HOSTILE, {f"accuracy {HOSTILE}": HOSTILE}, HOSTILE)],
        changes=f"More labels: {HOSTILE}",
        decision=Frame(["Asked", "Run"], [["at most $1", HOSTILE]]),
        conclusions=[
            {"source": "A paper", "claim": "It routes.", "verdict": "holds", "measured": HOSTILE}
        ],
        sections=[
            Section("Short", "How short?", {"frame": Frame(["a"], [[HOSTILE]])}, None),
            Section(
                "Long",
                "How long?",
                {"frame": Frame(["a"], [[str(row)] for row in range(30)])},
                None,
            ),
            Section(
                "Cases",
                "Queries on which routing pays most.",
                {},
                Figure(folder / "figure.svg", "a case", "what it shows"),
                cards=[
                    {"router": "knn", "kind": "saving", "dataset": "A", "sample_id": HOSTILE}
                    | {"question": HOSTILE, "answer": HOSTILE, "image": None}
                    | {"chosen": HOSTILE, "chosen_answer": None, "chosen_cost_usd": 0.001}
                    | {
                        "reference": "strong",
                        "reference_answer": HOSTILE,
                        "reference_cost_usd": 0.1,
                    }
                ],
            ),
        ],
        datasets=pd.DataFrame(
            [
                {"dataset": "A", "scenario": "x", "coverage": 1.0, "duplicates": 0}
                | {"unobserved": 0}
                | counts
            ]
        ),
        origins=pd.DataFrame(
            {
                "source": ["one", "two"],
                "dataset": "A",
                "model": ["cheap", "dear"],
                "pairs": [7, 123],
            }
        ),
        models=pd.DataFrame(
            [
                {"model": model, "accuracy": 0.111, "cost_usd": 0.111, "cost": 0.111}
                | {"coverage": 1.0, "cost_from": source}
                for model, source in (("cheap", "tokens"), ("strong", "bill"), ("dear", "bill"))
            ]
        ),
        notices=["two samples left out"],
        singles=pd.DataFrame(
            [
                single("cheap", 0.4, 0.1),
                single("strong", 0.7, 1.0),
                single("dear", 0.6, 2.0),
                single("cheap", 0.99, 0.1, "A"),
            ]
        ),
        figures=drawn(folder / "figure.svg", "a caption"),
        chart=made_up_chart(),
        throughput=Frame(["router", "decisions per second"], [["knn", "12,345"]]),
        config={"name": "bench"},
        provenance={
            "versions": {"python": "3.99.1", "mmroute": "0.7", "snakemake": "9.8"}
            | {"packages": {"numpy": "2.71", "pandas": "3.14"}},
            "code": {"commit": COMMIT, "clean": True, "changed": [], "reason": None},
            "data": {
                "datasets": [digests_of("A", 1234), digests_of("B", 5)],
                "text_only": None,
                "prices": {},
                "choices": {},
                "downloads": [],
            },
            "seeds": {"seed": 17, "salts": [0, "b"]},
            "machine": {"platform": "Linux", "cpus": 6, "memory_bytes": 3 * 2**30},
            "stages": {
                "fetch": dict.fromkeys(["seconds", "cpu_seconds", "peak_mib"]) | {"jobs": 1},
                "split": {"jobs": 1, "seconds": 0.26, "cpu_seconds": 0.2, "peak_mib": 80.0},
                "train": {"jobs": 12, "seconds": 1234.56, "cpu_seconds": 9.0, "peak_mib": 2e3},
            },
        },
    )
