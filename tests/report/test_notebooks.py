"""Notebooks as HTML: their charts are drawn from data, offline, and data stay data."""

import json
import subprocess
from html.parser import HTMLParser

import nbformat
import pytest

from mmroute.presentation.charts import AS_DATA, library
from mmroute.report.notebooks import run
from mmroute.report.printing import find_browser

pytestmark = pytest.mark.slow

HOSTILE = "</script><script>document.title = 'ran'</script>{{ 7 * 7 }}$x$&\"'"
CELLS = f"""
import altair as alt
import pandas as pd
from mmroute.presentation.charts import show_in_notebook
show_in_notebook()
rows = pd.DataFrame({{"name": [{HOSTILE!r}, "b"], "cost": [1, 2]}})
alt.Chart(rows).mark_text().encode(x="cost", text="name", color="name", tooltip="name")
"""


class Page(HTMLParser):
    """Addresses, scripts by their type, and which places of charts there are."""

    def __init__(self, html):
        super().__init__()
        self.links, self.scripts, self.places, self._type = [], [], 0, None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.links += [given[name] for name in ("src", "href") if given.get(name)]
        self.places += given.get("class") == "chart"
        self._type = (given.get("type"),) if tag == "script" else None

    def handle_data(self, data):
        if self._type:
            self.scripts.append((self._type[0], data))

    def handle_endtag(self, tag):
        self._type = None


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    tagged = {"tags": ["parameters"]}
    cells = [nbformat.v4.new_code_cell("x = 1", metadata=tagged), nbformat.v4.new_code_cell(CELLS)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(content, folder / "given.ipynb")
    (folder / "chart.js").write_text(library(), encoding="utf-8")
    for name in ("one", "other"):
        run(
            folder / "given.ipynb",
            {"x": "2"},
            folder / name / "made.ipynb",
            folder / name / "made.html",
            folder / "chart.js",
        )
    return folder


def test_a_chart_is_kept_as_data_and_as_a_picture(made):
    executed = nbformat.read(made / "one/made.ipynb", as_version=4)
    (output,) = executed.cells[-1].outputs
    assert output.data[AS_DATA]["mark"] == {"type": "text"}
    assert output.data["image/svg+xml"].startswith("<svg")
    assert "<script" not in output.data["image/svg+xml"]


def test_html_holds_the_chart_and_what_draws_it_and_fetches_nothing(made):
    page = Page((made / "one/made.html").read_text())
    (spec,) = [json.loads(text) for kind, text in page.scripts if kind == "application/json"]
    assert HOSTILE in json.dumps(spec).encode().decode("unicode_escape")
    assert page.places == 1
    assert not any("document.title = 'ran'" in text for kind, text in page.scripts if kind is None)
    assert all(link.startswith(("data:", "#")) for link in page.links)


def test_the_same_notebook_is_the_same_html(made):
    assert (made / "one/made.html").read_bytes() == (made / "other/made.html").read_bytes()


@pytest.mark.browser
def test_a_browser_draws_the_chart_and_runs_no_text(made, tmp_path):
    browser = find_browser()
    assert browser, "no Chromium on the PATH; make chromium installs it"
    command = [browser, "--headless", "--no-sandbox", f"--user-data-dir={tmp_path}"]
    command += ["--virtual-time-budget=10000", "--dump-dom", (made / "one/made.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "<title>made</title>" in shown
    drawn = shown.partition('class="chart')[2]
    assert "<svg" in drawn.partition('<script type="application/json"')[0]
