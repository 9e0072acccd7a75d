"""The page in a browser: it fits, it folds, its tables sort and filter, and nothing else runs."""

from dataclasses import replace

import pandas as pd
import pytest
from made_up import HOSTILE, METRICS, drawn, table_of

from mmroute.report.html import Frame, Section

pytestmark = [pytest.mark.slow, pytest.mark.browser]

WIDTHS = [390, 768, 1280, 1920]
CONTRASTS = """() => {
  const level = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((own) => own / 255)
      .map((own) => (own <= 0.03928 ? own / 12.92 : ((own + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const colour = getComputedStyle(node).backgroundColor;
    return colour !== "rgba(0, 0, 0, 0)" ? colour : behind(node.parentElement);
  };
  const hasText = (node) =>
    [...node.childNodes].some((own) => own.nodeType === 3 && own.data.trim());
  return [...document.querySelectorAll("main *, nav *")].filter(hasText).map((node) => {
    const [one, other] = [level(getComputedStyle(node).color), level(behind(node))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    return [ratio, node.outerHTML.slice(0, 80)];
  });
}"""


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach((own) => (own.open = true))")


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_no_wider_than_the_window(report, browse, width):
    datasets = [f"a_data_set_of_a_long_name_{number}" for number in range(14)]
    long = "x" * 300
    wide = replace(
        report,
        title=long,
        table=table_of(METRICS, (*datasets, "full")),
        notices=[long],
        figures=drawn(report.figures["fig4"].path, long),
        sections=[Section("Wide", long, {"frame": Frame([long] * 9, [[long] * 9])}, None)],
    )
    page = browse(wide.render(), width)
    assert fits(page)
    unfold(page)
    assert fits(page)
    # What is wider than the page scrolls within it, by the keyboard too, its first column in view.
    holder = page.locator("#metric-nauc .scroll")
    holder.focus()
    if width < 1280:
        page.keyboard.press("End")
        holder.evaluate("(own) => (own.scrollLeft = own.scrollWidth)")
        first = holder.locator("tbody th").first.bounding_box()
        assert first["x"] == pytest.approx(holder.bounding_box()["x"], abs=2)


def cells(page, within, column):
    rows = page.locator(f"{within} tbody tr").all()
    return [row.locator("th, td").nth(column).inner_text() for row in rows if row.is_visible()]


def test_a_table_sorts_by_numbers_and_by_words_either_way(report, browse):
    page = browse(report.render())
    unfold(page)
    table = "#metric-qnc"
    head = page.locator(f"{table} thead th").nth(1)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    own = [text.split()[0] for text in cells(page, table, 1)]
    assert own == ["0.100", "0.400", "1.000", "∞", "∞"]
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert [text.split()[0] for text in cells(page, table, 1)] == own[::-1]
    page.locator(f"{table} thead th").nth(0).get_by_role("button").click()
    assert cells(page, table, 0) == ["best_single", "hopeless", "knn", "oracle", "weak"]
    assert page.locator(f"{table} [aria-sort]").count() == 1


def test_numbers_with_signs_units_and_separators_sort_as_numbers(report, browse):
    told = ["$1,200.50", "+∞", "–", "-3", "< .002", "-∞", "+.5 points", "12 %"]
    frame = Frame(["cost"], [[text] for text in told])
    page = browse(replace(report, sections=[Section("S", "?", {"frame": frame}, None)]).render())
    unfold(page)
    page.locator("#experiment-1 thead").get_by_role("button").click()
    ascending = ["-∞", "-3", "< .002", "+.5 points", "12 %", "$1,200.50", "+∞", "–"]
    assert cells(page, "#experiment-1", 0) == ascending


def test_a_long_table_filters_its_rows(report, browse):
    page = browse(report.render())
    unfold(page)
    field = page.locator("#experiment-2").get_by_role("searchbox", name="Filter rows")
    field.fill("7")
    assert cells(page, "#experiment-2", 0) == ["7", "17", "27"]
    assert page.locator("#experiment-2").get_by_role("status").inner_text() == "3 of 30 rows"
    field.fill("")
    assert len(cells(page, "#experiment-2", 0)) == 30
    assert page.locator("#experiment-1").get_by_role("searchbox").count() == 0


def test_headings_break_between_the_parts_of_a_name_and_within_no_word(report, browse):
    names = ["OCRBench", "SEEDBench2_Plus", "RealWorldQA", "undecodable images", "duplicates"]
    names += ["coverage", "nAUC", HOSTILE]
    frame = Frame(["row", *names], [["1"] * 9])
    page = browse(replace(report, sections=[Section("S", "?", {"frame": frame}, None)]).render())
    unfold(page)
    heads = page.locator("#experiment-1 thead th")
    assert [head.text_content() for head in heads.all()[1:]] == names
    lines = heads.evaluate_all(
        """(heads) => heads.map((head) => {
          const range = document.createRange(), tops = [];
          for (const node of head.firstChild.childNodes) {
            for (let at = 0; at < (node.data?.length ?? 0); at++) {
              range.setStart(node, at), range.setEnd(node, at + 1);
              const { top, width } = range.getBoundingClientRect();
              if (width) tops.push([top, node.data[at]]);
            }
          }
          return tops.map(([top, sign], at) => (at && top > tops[at - 1][0] + 2 ? "|" : "") + sign)
            .join("");
        })"""
    )
    assert [line.replace("OCR|", "OCR").split("|")[0] for line in lines[1:2]] == ["OCRBench"]
    assert lines[5:8] == ["duplicates", "coverage", "nAUC"]


def test_intervals_are_shown_on_demand(report, browse):
    many = replace(report, table=table_of(METRICS, [f"d{number}" for number in range(9)]))
    page = browse(many.render())
    unfold(page)
    shown = page.locator("#metric-nauc").get_by_role("checkbox", name="95 % intervals")
    assert not shown.is_checked()
    cell = page.locator("#metric-nauc tbody td").first
    assert cell.inner_text() == "0.900"
    cell.hover()
    assert cell.get_attribute("title") == "0.880 to 0.920"
    shown.check()
    assert cell.inner_text().split("\n") == ["0.900", "0.880 to 0.920"]
    assert page.locator("#models").get_by_role("checkbox").is_checked()


def test_the_navigation_opens_what_it_leads_to(report, browse):
    page = browse(report.render())
    target = page.locator("#metric-nauc")
    assert not target.locator("table").is_visible()
    page.get_by_role("navigation").get_by_role("link", name="nAUC", exact=True).click()
    assert target.locator("table").is_visible()
    assert not page.locator("#experiment-2 table").is_visible()
    page.evaluate("location.hash = 'experiment-2'")
    page.locator("#experiment-2 table").wait_for(state="visible")
    page.locator("#experiment-2 > summary").press("Enter")
    assert not page.locator("#experiment-2 table").is_visible()


def test_all_is_unfolded_for_print_and_folded_again(report, browse):
    page = browse(report.render())
    count = "document.querySelectorAll('details:not([open])').length"
    folded = page.evaluate(count)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert folded > 0
    assert page.evaluate(count) == 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(count) == folded


def test_text_from_data_runs_in_no_browser(report, browse):
    hostile = f"{HOSTILE}</script></style><img src=x onerror=alert(2)><svg onload=alert(3)>"
    everywhere = replace(
        report,
        title=hostile,
        table=report.table.replace("weak", hostile),
        notices=[hostile],
        answers=[hostile],
        datasets=report.datasets.assign(dataset=hostile),
        singles=report.singles.assign(model=hostile),
        models=pd.DataFrame(report.models.iloc[:1].assign(model=hostile)),
        figures=drawn(report.figures["fig4"].path, hostile),
        sections=[Section(hostile, hostile, {"frame": Frame([hostile], [[hostile]] * 9)}, None)],
    )
    page = browse(everywhere.render())
    dialogs = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    unfold(page)
    page.get_by_role("searchbox").last.fill("alert")
    page.locator("thead button").last.click()
    # The chart's data, and three scripts of the page's own; the chart has drawings.
    assert page.locator("img[src=x], svg:not(.live *), script").count() == 4
    assert dialogs == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(report, browse, scheme):
    """WCAG 2.1, contrast (minimum): 4.5 to 1 for text."""
    page = browse(report.render(), color_scheme=scheme)
    unfold(page)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    assert [told for ratio, told in contrasts if ratio < 4.5] == []
