from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mmroute.report import Report, summarise

HOSTILE = "<script>alert(1)</script>{{ 7 * 7 }}&\"'"


def table_of(**values):
    rows = [
        (level, dataset, router, metric, value, np.nan, 1)
        for router, metrics in values.items()
        for metric, value in metrics.items()
        for level, dataset in (("dataset", "A"), ("dataset", HOSTILE), ("full", "full"))
    ]
    columns = ["level", "dataset", "router", "metric", "value", "salt_sd", "salts"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def report(tmp_path):
    (tmp_path / "figure.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    counts = dict.fromkeys(
        ["samples", "train", "test", "no_text", "no_image", "undecodable_images"], 1
    )
    return Report(
        title=HOSTILE,
        simulated=True,
        table=table_of(
            best_single={"nauc": 0.9, "qnc": 1.0},
            weak={"nauc": 0.5, "qnc": np.inf},
            knn={"nauc": 0.6, "qnc": 0.5},
            oracle={"nauc": 0.99, "qnc": 0.1},
        ),
        datasets=pd.DataFrame(
            [
                {"dataset": HOSTILE, "scenario": "x", "coverage": 1.0, "duplicates": 0}
                | {"unobserved": 0}
                | counts
            ]
        ),
        models=pd.DataFrame(
            [
                {"model": HOSTILE, "accuracy": 0.5, "cost_usd": 0.001, "cost": 1.0}
                | {"coverage": 1.0, "cost_from": "tokens"}
            ]
        ),
        notices=[HOSTILE],
        singles=pd.DataFrame(
            [
                {"dataset": "full", "model": name, "utility": utility, "cost_usd": cost}
                | {"cost": cost, "samples": 80}
                for name, utility, cost in (("strong", 0.7, 0.01), ("weak", 0.4, 0.001))
            ]
        ),
        frontiers=pd.DataFrame(
            [
                {"router": "knn", "dataset": "full", "utility": u, "cost_usd": c}
                for u, c in ((0.5, 0.002), (0.7, 0.004), (0.8, 0.02))
            ]
        ),
        figures={HOSTILE: tmp_path / "figure.svg"},
        config={"name": HOSTILE},
    )


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.links = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]


def test_text_from_data_is_shown_and_never_run(report):
    html = report.render()
    assert "script" not in Page(html).tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}" in html


def test_the_page_needs_no_network(report):
    page = Page(report.render())
    assert page.links
    assert all(link.startswith("data:") for link in page.links)


def test_simulated_data_is_called_simulated(report):
    assert "Simulated data." in report.render()


def test_the_best_router_is_marked_and_no_reference_is(report):
    html = report.render()
    assert html.count('class="best">0.6000') == 3
    assert html.count('class="best">0.5000') == 3
    assert 'class="best">0.99' not in html
    assert 'class="best">0.9000' not in html


def test_the_summary_compares_the_best_router_with_the_best_model(report):
    summary = summarise(report.table, report.singles, report.frontiers)
    assert (summary.best_model, summary.best_accuracy) == ("strong", 0.7)
    assert (summary.router, summary.nauc) == ("knn", 0.6)
    assert (summary.peak, summary.peak_cost_usd) == (0.8, 0.02)
    assert summary.parity_cost_usd == 0.004
    assert summary.samples == 80


def test_a_router_that_never_reaches_the_best_model_is_said_to_be(report):
    report.frontiers["utility"] = 0.1
    assert summarise(report.table, report.singles, report.frontiers).parity_cost_usd is None
    assert "not reached" in report.render()
