"""The report: what it says in its summary, how it marks routers, and that data stay data."""

import json
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from made_up import (
    COMMIT,
    HOSTILE,
    METRICS,
    NEVER,
    NOT_REACHED,
    UNDEFINED,
    digests_of,
    drawn,
    points_of,
    single,
    table_of,
)
from made_up_chart import budgets_of, lines_of, made_up_chart, models_of

from mmroute.evaluation.metrics import CurveMetric
from mmroute.evaluation.policy_metrics import PolicyMetric
from mmroute.report import page
from mmroute.report.html import HEADLINE, Estimate, Frame, Section, summarise

pytestmark = pytest.mark.slow

OWN, FRONTIER = (
    (Path(page.__file__).parent / name).read_text() for name in ("page.js", "frontier.js")
)


def scripts_of(report):
    """All that stands in script elements: what the chart shows, and what runs."""
    return [str(report.chart.json), OWN, report.chart.library, FRONTIER]


class Page(HTMLParser):
    """Tags, links and text of a page, and its tables by the heading above each.

    A table is a list of rows, a row a list of (class, text).
    """

    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.tables, self.row_classes = [], [], {}, {}
        self.scripts = []
        self._heading, self._within, self._words = "", "", []
        self.feed(html)
        self.text = " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag, attributes):
        if tag == "wbr":
            return
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        self._within = tag
        kind = dict(attributes).get("class", "")
        if tag in ("h2", "h3"):
            self._heading = ""
        elif tag == "tr":
            self.tables.setdefault(self._heading, []).append([])
            self.row_classes.setdefault(self._heading, []).append(kind)
        elif tag in ("td", "th"):
            self.tables[self._heading][-1].append((kind, ""))
        elif tag == "small":
            self.handle_data(" | ")

    def handle_data(self, data):
        if self._within == "script":
            self.scripts.append(data)
        elif self._within != "style":
            self._words.append(data)
        if self._within in ("h2", "h3"):
            self._heading += data
        elif self._within in ("td", "th", "span", "small"):
            rows = self.tables.get(self._heading)
            if rows and rows[-1]:
                kind, text = rows[-1][-1]
                rows[-1][-1] = kind, text + data

    def handle_endtag(self, tag):
        self._within = ""

    def rows_of(self, heading):
        """Return {first cell: the others} of the one table whose heading starts so."""
        (rows,) = (rows for name, rows in self.tables.items() if name.startswith(heading))
        return {row[0][1]: row[1:] for row in rows[1:]}


# --- data stay data ---------------------------------------------------------------------------


def test_text_from_data_is_shown_and_never_run(report, tmp_path):
    places = ("full", HOSTILE)
    everywhere = replace(
        report,
        title=HOSTILE,
        chart=made_up_chart(
            lines_of(places, [HOSTILE], n_models=1),
            models_of(places, [HOSTILE]),
            budgets_of(models=[HOSTILE]).assign(router=HOSTILE),
            [HOSTILE],
        ),
        table=pd.concat(
            [report.table, report.table[report.table["router"] == "weak"].assign(router=HOSTILE)]
        ),
        points=pd.concat([report.points, points_of(HOSTILE, "peak")]),
        differences=pd.concat(
            [
                report.differences,
                report.differences[report.differences["metric"] == "nauc_honest"].assign(
                    other=HOSTILE
                ),
            ]
        ),
        datasets=report.datasets.assign(dataset=HOSTILE, scenario=HOSTILE),
        origins=report.origins.assign(dataset=HOSTILE, model=HOSTILE),
        models=report.models.iloc[:1].assign(model=HOSTILE, cost_from=HOSTILE),
        notices=[HOSTILE],
        singles=report.singles.assign(model=HOSTILE),
        figures=drawn(tmp_path / "figure.svg", HOSTILE),
        throughput=Frame(["router"], [[HOSTILE]]),
        config={HOSTILE: HOSTILE},
        provenance=report.provenance
        | {
            "code": {"commit": COMMIT, "clean": False, "changed": [HOSTILE], "reason": None},
            "data": {
                "datasets": [digests_of(HOSTILE, 1)],
                "text_only": [digests_of(HOSTILE, 2)],
                "prices": {HOSTILE: HOSTILE},
                "choices": {HOSTILE: HOSTILE},
                "downloads": [
                    dict.fromkeys(["repo", "revision", "commit"], HOSTILE) | {"files": []}
                ],
            },
            "seeds": {"seed": 0, "salts": [HOSTILE]},
            "stages": {HOSTILE: report.provenance["stages"]["split"]},
        },
    )
    shown = Page(everywhere.render())
    assert shown.scripts == scripts_of(everywhere)
    assert HOSTILE in json.loads(shown.scripts[0])["data"]["models"]
    # Title twice, columns of five tables, rows, notices, figure and summary.
    assert shown.text.count(HOSTILE) > 15
    assert shown.tags.count("img") == 4


def test_a_hostile_router_in_the_summary_is_escaped_too(report):
    names = {"knn": HOSTILE, "linear": HOSTILE + "2"}
    table = report.table.replace({"router": names})
    differences = report.differences.replace({"router": names, "other": names})
    shown = Page(replace(report, table=table, differences=differences).render())
    assert shown.scripts == scripts_of(report)
    assert f"{HOSTILE} was the best in training over the whole range" in shown.text
    assert f"in the set of the best, with {HOSTILE}2." in shown.text


def test_the_page_needs_no_network(report):
    html = report.render()
    shown = Page(html)
    assert shown.links
    assert all(link.startswith(("data:", "#")) for link in shown.links)
    assert "default-src 'none'" in html
    # The library could; the page's policy and the tests in a browser say that it does not.
    html = html.replace(report.chart.library, "")
    assert "url(" not in html
    assert "@import" not in html


def test_a_browser_runs_this_rooms_scripts_alone(report):
    html = report.render()
    _, *run = Page(html).scripts
    digests = (b64encode(sha256(script.encode()).digest()).decode() for script in run)
    named = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert f'script-src {named}"' in html
    with pytest.raises(ValueError, match="ends its own element"):
        page.render("report.html.j2", ["</SCRIPT>"])


def test_several_sources_and_what_came_from_each_are_shown(report):
    text = Page(report.render()).text
    assert "Where the outcomes come from" in text
    assert "123" in text
    alone = replace(report, origins=report.origins[:1])
    assert "Where the outcomes come from" not in Page(alone.render()).text


def test_only_simulated_data_are_called_simulated(report):
    assert "Simulated data." not in report.render()
    assert "Simulated data." in replace(report, simulated=True).render()


def test_throughput_stands_where_the_machine_and_the_time_do(report):
    html = report.render()
    _, _, section = html.partition('<section id="machine-and-time">')
    assert "12,345" in section.partition("</section>")[0]
    assert Page(html).rows_of("Throughput") == {"knn": [("", "12,345")]}


def test_notices_captions_and_the_configuration_are_shown(report):
    text = Page(report.render()).text
    for fact in ("two samples left out", "a caption", "name: bench"):
        assert fact in text


def test_what_costs_rest_on_is_said_beside_the_decision_too(report):
    said = ["r: costs are estimates", "token counts are estimated", "two samples left out"]
    html = replace(report, notices=said).render()
    advice = html.partition("<h3>What to run</h3>")[2].partition("<h2>Accuracy and cost</h2>")[0]
    assert [notice in advice for notice in said] == [True, True, False]
    assert [html.count(f"<li>{notice}</li>") for notice in said] == [1, 1, 1]


def test_gain_and_nauc_stand_beside_each_other_first(report):
    shown = Page(report.render())
    (heading,) = (name for name in shown.tables if name.startswith("What routing gains"))
    assert [text for _, text in shown.tables[heading][0]] == ["router", *HEADLINE.values()]
    assert [text for _, text in shown.rows_of(heading)["knn"]] == [
        "0.014 | -0.016 to 0.044 | p .300",
        "0.580 | 0.550 to 0.610",
        "0.020 | 0.010 to 0.030 | p .300",
        "0.600 | 0.570 to 0.630",
    ]
    assert shown.rows_of(heading)["zero"][0] == ("", "0.000")


def test_what_routing_gains_and_costs_is_told_against_static_mixtures(report):
    text = Page(report.render()).text
    assert "gains +0.014 nAUC (-0.016 to 0.044)" in text
    assert (
        "it costs 75% (50% to 88%) at 90 % of the best static accuracy, "
        "150% (62% to 225%) at 95 %, ∞ (94% to ∞) at 100 %." in text
    )


# --- tables of metrics ------------------------------------------------------------------------


def classes(shown, heading):
    return {router: {kind for kind, _ in cells} for router, cells in shown.rows_of(heading).items()}


def test_the_best_router_is_bold_the_close_ones_underlined_and_references_neither(report):
    shown = Page(report.render())
    assert classes(shown, "nAUC (") == {
        "best_single": {""},
        "knn": {"close"},
        "linear": {"best"},
        "weak": {""},
        "oracle": {""},
    }


def test_close_is_a_p_value_of_at_least_a_twentieth(report):
    marked = classes(Page(report.render()), "nAUC, operating points chosen on training data")
    assert marked == {"knn": {"close"}, "linear": {"best"}, "weak": {""}, "oracle": {""}}


def test_references_are_rows_of_their_own_kind(report):
    shown = Page(report.render())
    (heading,) = (name for name in shown.tables if name.startswith("nAUC ("))
    assert shown.row_classes[heading] == ["", "reference", "", "", "", "reference"]


def test_a_cell_holds_the_value_over_its_interval_for_each_data_set(report):
    shown = Page(report.render())
    cells = shown.rows_of("nAUC (")["linear"]
    assert [text for _, text in cells] == ["0.610 | 0.580 to 0.640"] * 3
    (heading,) = (name for name in shown.tables if name.startswith("nAUC ("))
    assert [text for _, text in shown.tables[heading][0]] == ["router", "A", HOSTILE, "full"]


def test_a_value_without_an_interval_stands_alone(report):
    table = report.table.assign(low=UNDEFINED, high=UNDEFINED)
    shown = Page(replace(report, table=table).render())
    assert shown.rows_of("nAUC (")["linear"][0] == ("best", "0.610")


def test_a_metric_says_in_what_share_of_the_resamples_it_is_reached(report):
    rows = Page(report.render()).rows_of("QNC (")
    texts = {router: cells[0][1] for router, cells in rows.items()}
    assert texts == {
        "best_single": "1.000 | 1.000 to 1.000",
        "knn": "0.400 | 0.350 to 0.550 | reached in 66.0%",
        "weak": "∞ | 0.900 to ∞ | reached in 3.0%",
        "hopeless": "∞ | ∞ to ∞",
        "oracle": "0.100 | 0.090 to 0.110",
    }


def test_what_is_undefined_in_a_resample_is_not_reached_there(report):
    table = report.table.assign(undefined=0.04)
    cells = Page(replace(report, table=table).render()).rows_of("QNC (")["knn"]
    assert cells[0][1] == "0.400 | 0.350 to 0.550 | reached in 62.0% | undefined in 4.0%"


def test_an_average_of_what_may_never_be_reached_says_on_how_many_data_sets_it_is(report):
    # Of a reference that always reaches it no resample says otherwise: there is no interval.
    reached = {
        "best_single": (1.0, UNDEFINED, UNDEFINED, UNDEFINED, 0.0),
        "knn": (0.75, 0.5, 1.0, 1.0, 0.0),
        "weak": (0.0, 0.0, 0.25, 0.002, 0.0),
        "hopeless": (UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, 0.0),
    }
    averages = table_of({"qnc": reached, "nauc": METRICS["nauc"]}, ["macro"])
    table = pd.concat([report.table, averages], ignore_index=True)
    shown = Page(replace(report, table=table).render())
    (heading,) = (name for name in shown.tables if name.startswith("QNC ("))
    columns = [text for _, text in shown.tables[heading][0]]
    assert columns == ["router", "A", HOSTILE, "full", "macro"]
    texts = {router: cells[-1][1] for router, cells in shown.rows_of(heading).items()}
    assert texts == {
        "best_single": "100.0% | of the data sets reach it",
        "knn": "75.0% | of the data sets reach it, 50.0% to 100.0%",
        "weak": "0.0% | of the data sets reach it, 0.0% to 25.0%",
        "hopeless": "–",
        "oracle": "–",
    }
    assert shown.rows_of(heading)["knn"][0][1].startswith("0.400 | ")
    assert shown.rows_of("nAUC (")["knn"][-1][1] == "0.600 | 0.570 to 0.630"


def test_resamples_without_a_defined_value_are_shown(report):
    table = report.table.assign(undefined=0.04)
    shown = Page(replace(report, table=table).render())
    cells = shown.rows_of("nAUC (")["knn"]
    assert cells[0][1] == "0.600 | 0.570 to 0.630 | undefined in 4.0%"
    assert "undefined" not in Page(report.render()).text


def test_a_single_data_set_is_shown_once(report):
    shown = Page(replace(report, table=table_of(METRICS, ("A", "full"))).render())
    assert len(shown.rows_of("nAUC (")["knn"]) == 1


def test_metrics_that_are_not_the_main_ones_are_shown_on_the_pooled_set(report):
    rows = Page(report.render()).rows_of("AUROC")
    assert [text for _, text in rows["knn"]] == ["0.660 | 0.650 to 0.670"]


# --- operating points and differences ---------------------------------------------------------


def test_operating_points_are_those_of_the_pooled_set_with_their_intervals(report):
    shown = Page(report.render())
    header, *rows = shown.tables["Operating points"]
    assert [text for _, text in header] == [
        "router",
        "point",
        "accuracy",
        "USD per 1,000 queries",
        "routing accuracy",
        "optimal selection",
        "calibration error",
    ]
    assert [text for _, text in rows[0]] == [
        "knn",
        "peak",
        "80.0% | (78.0% to 82.0%)",
        "5.00 | (4.00 to 6.00)",
        "90.0% | (88.0% to 92.0%)",
        "31.0% | (30.0% to 32.0%)",
        "0.071 | (0.060 to 0.080)",
    ]
    assert [tuple(text for _, text in row[:2]) for row in rows] == [
        ("knn", "peak"),
        ("knn", "parity"),
        ("weak", "peak"),
    ]
    assert rows[1][3][1] == "0.0200 | (0.0100 to 0.0300)"
    assert "12.3%" not in shown.text


def test_a_metrics_record_gives_it_its_place_in_the_report(report, monkeypatch):
    of_curve = CurveMetric(name="auroc", title="A first look", measure=None, shown=True)
    of_policy = PolicyMetric(name="cost", title="cost of all", unit="share", shown=True)
    monkeypatch.setattr("mmroute.report.html.CURVE_METRICS", [of_curve])
    monkeypatch.setattr("mmroute.report.html.POLICY_METRICS", [of_policy])
    shown = Page(report.render())
    assert shown.rows_of("A first look").keys() == {"knn"}
    header, row, *_ = shown.tables["Operating points"]
    assert [text for _, text in header] == ["router", "point", "cost of all"]
    assert row[2][1] == "50.0% | (40.0% to 60.0%)"


def test_a_metric_that_is_undefined_at_a_point_is_a_dash(report):
    # No model solves any sample: there is nothing that routing accuracy is a share of.
    nowhere = (UNDEFINED, UNDEFINED, UNDEFINED)
    points = points_of("knn", "peak", routing_accuracy=nowhere, ece=nowhere)
    shown = Page(replace(report, points=points).render())
    _, row = shown.tables["Operating points"]
    assert row[6][1].startswith("–")
    assert row[4][1].startswith("–")
    assert "nan" not in shown.text.split()


def test_differences_are_those_of_the_honest_nauc_with_their_p_values(report):
    shown = Page(report.render())
    header, *rows = shown.tables["Differences between routers"]
    assert [text for _, text in header] == [
        "first",
        "second",
        "difference",
        "95\xa0% interval",
        "p",
    ]
    assert rows == [
        [("", "linear"), ("", "knn"), ("", "-0.010"), ("", "-0.020 to 0.000"), ("", ".050")],
        [("", "weak"), ("", "knn"), ("", "-0.100"), ("", "-0.120 to -0.080"), ("best", ".002")],
        [
            ("", "weak"),
            ("", "linear"),
            ("", "-0.100"),
            ("", "-0.120 to -0.080"),
            ("best", "< .002"),
        ],
    ]
    assert "-0.777" not in shown.text


def test_the_models_are_those_of_the_test_split_the_cheapest_first(report):
    shown = Page(report.render())
    _, *rows = shown.tables["Models"]
    assert [[text for _, text in row] for row in rows] == [
        ["cheap", "40.0% | (37.0% to 43.0%)", "1.00 | (0.91 to 1.11)", "0.1000", "87.5%", "tokens"],
        [
            "strong",
            "70.0% | (67.0% to 73.0%)",
            "10.00 | (9.09 to 11.11)",
            "1.0000",
            "87.5%",
            "bill",
        ],
        ["dear", "60.0% | (57.0% to 63.0%)", "20.00 | (18.18 to 22.22)", "2.0000", "87.5%", "bill"],
    ]
    assert "Routing among 3 models." in shown.text


# --- provenance -------------------------------------------------------------------------------


def plain(rows):
    return [[text for _, text in row] for row in rows]


def with_data(report, **data):
    return replace(
        report, provenance=report.provenance | {"data": report.provenance["data"] | data}
    )


def test_it_says_of_what_code_versions_and_seeds_it_is(report):
    shown = Page(report.render())
    assert plain(shown.tables["Code, versions and seeds"]) == [
        ["git commit", "c0ffeec0ffee"],
        ["working tree", "clean"],
        ["mmroute", "0.7"],
        ["Python", "3.99.1"],
        ["Snakemake", "9.8"],
        ["seed", "17"],
        ["salts of the splits", "0, b"],
    ]
    assert "Packages: numpy 2.71, pandas 3.14." in shown.text


def test_a_tree_that_is_not_as_in_the_commit_is_told(report):
    code = {"commit": COMMIT, "clean": False, "changed": [" M a.py", "?? b.py"], "reason": None}
    shown = Page(replace(report, provenance=report.provenance | {"code": code}).render())
    assert plain(shown.tables["Code, versions and seeds"])[1] == ["working tree", "not clean"]
    assert "changed or new since the commit: 2 M a.py ?? b.py" in shown.text
    assert "changed or new" not in Page(report.render()).text


def test_an_unknown_commit_has_its_reason(report):
    code = {"commit": None, "clean": None, "changed": None, "reason": HOSTILE}
    html = replace(report, provenance=report.provenance | {"code": code}).render()
    rows = plain(Page(html).tables["Code, versions and seeds"])
    assert [row[0] for row in rows[:2]] == ["git commit", "mmroute"]
    assert rows[0][1] == f"unknown: {HOSTILE}"
    assert Page(html).scripts == scripts_of(report)


def test_digests_are_short_with_the_full_ones_behind_them(report):
    html = report.render()
    shown = Page(html)
    assert plain(shown.tables["Digests of the data"])[1:] == [
        ["A", "1,234", "A-split-0000", "A-text-00000", "A-image-0000", "A-all-000000"],
        ["B", "5", "B-split-0000", "B-text-00000", "B-image-0000", "B-all-000000"],
    ]
    assert f'title="{digests_of("B", 5)["image"]}"' in html
    assert f'title="{COMMIT}"' in html
    assert not {"Digests of the second source", "Price tables", "Downloads"} & set(shown.tables)


def test_what_was_brought_here_is_told(report):
    files = [{"path": "a", "size": 2**20, "sha256": "ab"}, {"path": "b", "size": 2**19}]
    given = with_data(
        report,
        text_only=[digests_of("C", 9)],
        prices={"prices.csv": "d" * 32},
        downloads=[{"repo": "o/bench", "revision": "v1", "commit": COMMIT, "files": files}],
    )
    tables = Page(given.render()).tables
    assert plain(tables["Digests of the second source"])[1][:2] == ["C", "9"]
    assert plain(tables["Price tables"])[1] == ["prices.csv", "d" * 12]
    assert plain(tables["Downloads"])[1] == ["o/bench", "v1", "c0ffeec0ffee", "2", "1.5 MiB"]


def test_stages_stand_the_longest_first_and_what_was_not_measured_is_a_dash(report):
    shown = Page(report.render())
    assert plain(shown.tables["Machine and time"]) == [
        ["stage", "jobs", "seconds", "CPU seconds", "peak MiB"],
        ["train", "12", "1,234.6", "9.0", "2,000.0"],
        ["split", "1", "0.3", "0.2", "80.0"],
        ["fetch", "1", "–", "–", "–"],
    ]
    assert "Linux, 6 CPUs, 3.0 GiB of memory." in shown.text


def test_how_to_check_the_files_is_told(report):
    assert "mmroute verify results/bench checks every file" in Page(report.render()).text


# --- the summary ------------------------------------------------------------------------------


def test_the_summary_is_about_the_router_that_was_best_in_training(report):
    # linear has the larger nAUC on the test split, honest or not.
    summary = summarise(report.table, report.singles, report.differences)
    assert (summary.best_model, summary.samples, summary.salts) == ("strong", 1280, 1)
    assert summary.best_accuracy == Estimate(0.7, pytest.approx(0.67), pytest.approx(0.73))
    assert summary.best_cost_usd == Estimate(0.01, pytest.approx(1 / 110), pytest.approx(1 / 90))
    assert (summary.router, summary.nauc) == ("knn", Estimate(0.58, 0.55, 0.61))
    assert summary.gain == Estimate(0.014, -0.016, 0.044)
    assert (summary.in_set, summary.others) == (True, ["linear"])
    assert summary.peak == Estimate(0.79, 0.77, 0.81)
    # differences.csv has zero less knn.
    assert summary.ahead == Estimate(-0.04, -0.09, 0.01)
    assert summary.cost_at_parity == Estimate(0.45, 0.4, 0.5)
    assert summary.parity == Estimate(-0.015, -0.035, 0.005)


@pytest.mark.parametrize("utility", [0.7, 0.1 + 0.2 + 0.4])
def test_of_equally_accurate_single_models_the_cheaper_is_the_best(report, utility):
    # 0.1 + 0.2 + 0.4 is 0.7000000000000001: a mean may be a sum in another order.
    singles = pd.DataFrame([single("dear", utility, 2.0), single("strong", 0.7, 1.0)])
    assert summarise(report.table, singles, report.differences).best_model == "strong"


def test_the_summary_says_what_was_chosen_in_training_and_how_it_does(report):
    text = Page(report.render()).text
    for fact in (
        "Best single model on the test queries 70.0% (67.0% to 73.0%) "
        "strong, $10.00 per 1,000 queries",
        "Best router in training knn honest nAUC 0.580 (0.550 to 0.610)",
        "Its gain over the best static mixture +0.014 (-0.016 to 0.044)",
        "Its peak accuracy 79.0% (77.0% to 81.0%) at the point that was most accurate in training",
        "Cost at the accuracy of the single model best in training "
        "45.0% (40.0% to 50.0%) of that model's cost",
    ):
        assert fact in text
    assert (
        "Of the routers, knn was the best in training over the whole range of costs; "
        "on the 1,280 test queries it is in the set of the best, with linear. "
    ) in text
    assert (
        "Set to the point that was most accurate in training it answers 79.0% right, "
        "-0.040 (-0.090 to 0.010) against the single model that was best there. "
        "At the point that was the cheapest to reach that model's accuracy in training it costs "
        "45.0% as much (40.0% to 50.0%), and its accuracy is -0.015 (-0.035 to 0.005) against it."
    ) in text
    assert "only the best single model of the first box was chosen on the test queries." in text


@pytest.mark.parametrize(
    ("p_best", "words"),
    [
        ({"knn": 0.05, "linear": 1.0, "weak": 0.06}, "in the set of the best, with linear, weak."),
        ({"knn": 1.0, "linear": 0.049, "weak": 0.002}, "in the set of the best, alone."),
        (
            {"knn": 0.049, "linear": 1.0, "weak": 0.002},
            "not in the set of the best, which is linear.",
        ),
    ],
)
def test_it_is_told_whether_that_router_is_in_the_set_of_the_best(report, p_best, words):
    honest = report.table["metric"] == "nauc_honest"
    table = report.table.copy()
    table.loc[honest, "p_best"] = table.loc[honest, "router"].map(p_best)
    text = Page(replace(report, table=table).render()).text
    assert f"on the 1,280 test queries it is {words} Without a router" in text


def test_parity_that_was_not_reached_in_training_saves_nothing(report):
    table = table_of(NOT_REACHED)
    assert summarise(table, report.singles, report.differences).cost_at_parity.value == NEVER
    text = Page(replace(report, table=table).render()).text
    assert (
        "Cost at the accuracy of the single model best in training not reached "
        "in training, at any cost"
    ) in text
    assert (
        "It did not reach that model's accuracy in training: "
        "on this benchmark it saves nothing at that accuracy."
    ) in text
    assert "the cheapest to reach" not in text


def test_of_several_trainings_one_may_be_the_one_that_did_not_reach_parity(report):
    text = Page(replace(report, table=table_of(NOT_REACHED, salts=3)).render()).text
    assert "not reached in every training, at any cost" in text
    assert "It did not reach that model's accuracy in every training." in text


def test_one_training_is_told_apart_from_several(report):
    one, three = "All numbers are of these trained routers;", "All numbers are means over 3 splits,"
    text = Page(report.render()).text
    assert one in text
    assert "All numbers are means" not in text
    text = Page(replace(report, table=table_of(METRICS, salts=3)).render()).text
    assert f"{three} each with a training of its own; their intervals allow for" in text
    assert one not in text


@pytest.mark.parametrize("references", [["best_single"], ["best_single", "oracle"]])
def test_references_alone_have_no_summary_and_still_a_report(report, references):
    table = report.table[report.table["router"].isin(references)]
    differences = report.differences.iloc[:0]
    assert summarise(table, report.singles, differences) is None
    only = replace(report, table=table, points=report.points.iloc[:0], differences=differences)
    shown = Page(only.render())
    assert "No router was run: the config lists references only." in shown.text
    assert "best in training" not in shown.text
    assert shown.rows_of("nAUC (").keys() == set(references)


def test_the_decision_the_conclusions_and_the_cases_are_shown(report):
    shown = Page(report.render())
    assert [text for _, text in shown.tables["As a table"][1]] == ["at most $1", HOSTILE]
    assert f"What would change it: More labels: {HOSTILE}" in shown.text
    assert f"At most $1 {HOSTILE}" in shown.text
    assert "holds : It routes. (A paper)" in shown.text
    assert "Claims that are tested: 1, each at the 5% level." in shown.text
    for fact in ("saving", "answer unknown", "no image", "pays most", "$1.00 per 1,000 queries"):
        assert fact in shown.text


def test_an_experiment_has_its_question_and_a_long_table_a_field_that_filters_it(report):
    html = report.render()
    shown = Page(html)
    assert "How long?" in shown.text
    assert len(shown.tables["Long"]) == 31
    assert html.count('<div class="table" data-filter') == 1


def test_what_was_not_tested_is_one_folded_line(report):
    untested = {"source": "A paper", "claim": "It pays.", "verdict": "not tested", "measured": "x"}
    html = replace(report, conclusions=[*report.conclusions, untested]).render()
    line = "<h3>1 not tested, as their experiments were not run</h3>"
    assert "It routes." in html.partition(line)[0]
    assert "It pays." in html.partition(line)[2]
    assert line not in report.render()


def test_what_did_not_run_has_no_heading(report):
    bare = replace(report, answers=[], cards=[], changes="", decision=Frame([], []))
    bare = replace(bare, conclusions=[], sections=[])
    headings = set(Page(bare.render()).tables)
    assert not headings & {"As a table", "Short", "Long"}
    assert "conclusions hold" not in bare.render()
    assert "Cases" not in bare.render()


def test_published_values_stand_beside_the_reproduced_ones(report):
    assert "published" not in Page(report.render()).text
    both = {"frame": Frame(["a"], [["1"]]), "published": Frame(["here", "published"], [["1", "2"]])}
    section = Section("Short", "How short?", both, None)
    shown = Page(replace(report, sections=[section]).render())
    assert [text for _, text in shown.tables["Published values beside"][1]] == ["1", "2"]


# --- latencies --------------------------------------------------------------------------------


def test_latencies_stand_beside_the_models_and_the_operating_points_where_there_are_any(report):
    plain = report.render()
    assert "latency" not in plain
    told = {"latency_s": (1.5, 1.25, 1.75), "latency_coverage": (0.5, 0.5, 0.5)}
    numbers = {
        f"{name}{bound}": value
        for name in ("latency_s", "latency_p95_s")
        for bound, value in (("", 2.5), ("_low", 2.25), ("_high", 2.75))
    }
    timed = replace(
        report,
        points=points_of("knn", "peak", **told),
        models=report.models.assign(**numbers, latency_coverage=1.0),
    )
    shown = Page(timed.render())
    cells = [[text for _, text in row] for row in shown.tables["Models"]]
    assert cells[0][-2:] == ["mean latency (s)", "95th percentile (s)"]
    assert cells[1][-2:] == ["2.500 | (2.250 to 2.750)"] * 2
    points = [[text for _, text in row] for row in shown.tables["Operating points"]]
    at = points[0].index("mean latency (s)")
    assert points[1][at] == "1.500 | (1.250 to 1.750)"
    assert points[1][at + 1].startswith("50.0%")
