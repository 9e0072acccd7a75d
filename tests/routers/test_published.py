"""What is called by a published name says which code it follows, and where it does not."""

import inspect
import re

import pytest

from mmroute.catalogue import build, catalogue

VL = "https://github.com/yutao1024/SCOPE-Router"
MMR = "https://github.com/Hunter-Wrynn/MMR-Bench"
SOURCES = dict.fromkeys(
    (
        *("prknn", "knn_vl", "kmeans_vl", "linear_vl", "mlp_vl", "ovr"),
        *("cosinecls", "routerdc", "zooter", "vlc"),
    ),
    VL,
) | dict.fromkeys(("kmeans", "knn", "linear", "linear_mf", "mlp", "mlp_mf", "cmr"), MMR)

PAPERS = {
    "avengers_pro": "arXiv 2508.12631",
    "uniroute": "arXiv 2502.08773",
    "embedllm": "arXiv 2410.02223",
    "irt": "arXiv 2506.01048",
    "equirouter": "arXiv 2602.03478",
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_docstring_names_the_published_file_and_each_departure(name):
    text = inspect.getdoc(type(build("routers", name, {})))
    (section,) = re.findall(r"^Published\n-{9}\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", text, re.M | re.S)
    assert re.match(r"``(routers|src/mmrbench/routers)/\w+(/router)?\.py`` of ", section)
    assert SOURCES[name] in section
    departures = re.findall(r"^- ", section, re.MULTILINE)
    assert bool(departures) != ("No departures." in section)
    assert "eparture" not in text.replace(section, "")


@pytest.mark.parametrize("name", PAPERS)
def test_the_docstring_names_the_paper_its_figures_and_each_departure(name):
    text = inspect.getdoc(type(build("routers", name, {})))
    assert PAPERS[name] in text
    assert "Departures: " in text
    (figures,) = re.findall(r"Published[ ,(](.*?)(?:\n\n|\Z)", text, re.S)
    assert re.search(r"\d", figures.replace(PAPERS[name], ""))


def test_every_router_that_is_no_baseline_and_not_ours_is_listed():
    others = {"random", "cheapest", "strongest", "strongest_per_dataset", "oracle"}
    listed = {*SOURCES, *PAPERS}
    assert listed == set(catalogue("routers")) - others - {"ensemble", "llm", "choices"}
