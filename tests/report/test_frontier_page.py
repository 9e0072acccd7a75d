"""The interactive frontier in a browser: every control works, and says what the tables say."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import HOSTILE
from made_up_chart import (
    MODELS,
    budgets_of,
    lines_of,
    made_up_chart,
    models_of,
)

from mmroute.decision.words import offers

pytestmark = [pytest.mark.slow, pytest.mark.browser]

LABELS = """() => {
  const middle = (box) => [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const marks = (kind) => [...document.querySelectorAll(`.plot .mark-${kind}.role-mark`)];
  const boxes = (layer, what) =>
    [...layer.querySelectorAll(what)].map((own) => own.getBoundingClientRect());
  const texts = marks("text")[0];
  const points = marks("symbol").find((own) => own.classList.contains("layer_5_marks"));
  return {
    labels: [...texts.querySelectorAll("text")].map((own) => own.textContent),
    boxes: boxes(texts, "text").map(({ left, top, right, bottom }) => [left, top, right, bottom]),
    points: boxes(points, "path").map(middle),
  };
}"""


def control(page, name):
    return page.locator(f"[data-chart={name}]")


def drawn(page, turn=1):
    page.locator("#frontier-chart").scroll_into_view_if_needed()
    page.locator(f"#frontier-chart[data-drawn='{turn}']").wait_for()
    return page.locator("#frontier-chart")


@pytest.fixture
def page(report, browse):
    opened = browse(report.render())
    drawn(opened)
    return opened


def lines_drawn(page):
    """Opacities of the routers' lines by their colour."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".plot .layer_2_marks path")]
          .map((own) => [own.getAttribute("stroke"), own.getAttribute("stroke-opacity") ??
            own.getAttribute("opacity") ?? "1"])"""
    )


def ticks(page):
    """Of the cost axis."""
    texts = page.locator(".plot .role-axis-label").first.locator("text").all()
    return [text.text_content() for text in texts if text.get_attribute("opacity") != "0"]


def hit(page, layer, at=0):
    """The middle of an invisible target."""
    box = page.locator(f".plot .layer_{layer}_marks path").nth(at).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def told(page):
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    return [row.locator("td").all_inner_texts() for row in tip.locator("tr").all()]


def test_pointing_at_a_point_tells_all_of_it(page):
    page.mouse.move(*hit(page, 9, 3))
    rows = dict(told(page))
    own = lines_of().query("router == 'knn' and dataset == 'full' and chosen_on == 'train'").iloc[3]
    assert rows["router"] == "knn"
    assert rows["threshold"] == f"{own['threshold']:.4g}"
    assert rows["accuracy"] == f"{own['utility']:.1%}"
    assert (rows["from"], rows["to"]) == (f"{own['low']:.1%}", f"{own['high']:.1%}")
    assert float(rows["USD per 1,000 queries"]) == pytest.approx(10 * own["cost"], rel=1e-3)
    assert float(rows["normalised cost"]) == pytest.approx(own["cost"], rel=1e-3)
    assert rows["traffic"] == "cheap 57%, dear 43%"


def test_pointing_at_a_single_model_names_it_as_text(page):
    page.mouse.move(*hit(page, 10, 1))
    assert dict(told(page))["single model"] == MODELS[1]
    assert page.locator("#vg-tooltip-element b").count() == 0


def test_a_press_in_the_legend_brings_a_router_forward_and_another_lets_it_go(page):
    button = page.get_by_role("group", name="Routers").get_by_role("button", name="linear")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    front = [float(opacity) for _, opacity in lines_drawn(page)]
    assert sorted(front) == [0.15, 0.15, 0.15, 1.0]
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    assert {float(opacity) for _, opacity in lines_drawn(page)} == {1.0}


def test_a_click_on_a_line_brings_its_router_forward(page):
    page.mouse.click(*hit(page, 9, 10))
    pressed = page.locator(".legend [aria-pressed=true]")
    assert pressed.inner_text() == "linear"


def test_a_finger_reads_a_point_by_a_tap(chromium, report, tmp_path):
    file = tmp_path / "touched.html"
    file.write_text(report.render(), encoding="utf-8")
    page = chromium.new_page(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page.goto(file.as_uri())
    drawn(page)
    page.locator(".plot .layer_9_marks path").first.scroll_into_view_if_needed()
    page.touchscreen.tap(*hit(page, 9, 3))
    assert dict(told(page))["router"] == "knn"
    assert page.locator(".legend [aria-pressed=true]").count() == 0
    page.touchscreen.tap(*hit(page, 9, 10))
    page.locator("#vg-tooltip-element").get_by_text("linear").wait_for()
    page.close()


def test_the_legend_shows_a_line_or_the_diamond_of_a_single_point(page):
    shapes = page.locator(".legend button").evaluate_all(
        "(all) => all.map((own) => [own.innerText, own.querySelector('svg').firstChild.tagName])"
    )
    own = lines_of().query("dataset == 'full' and chosen_on == 'train'")
    sizes = own.groupby("router").size()
    assert 1 in set(sizes)
    assert dict(shapes) == {name: "path" if sizes[name] == 1 else "line" for name, _ in shapes}


def test_a_data_set_has_its_own_lines_and_models(report, browse):
    lines, models = lines_of(), models_of()
    lines.loc[lines["dataset"] == "A", ["utility", "low", "high"]] -= 0.3
    models = models[(models["dataset"] == "full") | (models["model"] == "cheap")]
    page = browse(replace(report, chart=made_up_chart(lines, models)).render())
    drawn(page)
    choice = control(page, "dataset")
    assert choice.locator("option").all_inner_texts() == ["all data sets", "A"]
    assert page.locator(".plot .layer_7_marks line").count() == 1
    choice.select_option("A")
    drawn(page, 2)
    assert page.locator(".plot .mark-text.role-mark text").all_text_contents() == ["cheap"]
    page.mouse.move(*hit(page, 9, 0))
    assert dict(told(page))["accuracy"] == "22.0%"
    # The budget is of all data sets.
    assert page.locator(".plot .layer_7_marks line").count() == 0


def test_points_are_those_of_training_or_of_the_test_split(page):
    for turn, (value, expected) in enumerate([("test", "53.0%"), ("train", "52.0%")], 2):
        control(page, "points").select_option(value)
        drawn(page, turn)
        page.mouse.move(0, 0)
        page.mouse.move(*hit(page, 9, 0))
        assert dict(told(page))["accuracy"] == expected


def test_rows_are_plain_or_shrunk_where_there_are_both(page):
    buttons = page.locator(".legend button")
    assert sorted(buttons.all_inner_texts()) == ["knn", "linear", "oracle", "random"]
    control(page, "rows").select_option("shrunk")
    drawn(page, 2)
    assert sorted(buttons.all_inner_texts()) == ["knn+shrink", "linear", "oracle", "random"]


def test_the_cost_axis_has_a_unit_and_a_scale_of_choice(page):
    title = page.locator(".plot .role-axis-title text")
    assert title.all_text_contents() == ["USD per 1,000 queries", "accuracy (mean utility)"]
    assert ticks(page) == ["0.01", "0.1", "1", "10"]
    control(page, "unit").select_option("cost")
    drawn(page, 2)
    assert title.first.text_content().startswith("mean cost per query (1 = ")
    assert ticks(page) == ["0.001", "0.01", "0.1", "1"]
    control(page, "scale").select_option("linear")
    drawn(page, 3)
    values = np.array(ticks(page), float)
    np.testing.assert_allclose(np.diff(values), values[1] - values[0])


def test_intervals_can_be_hidden(page):
    bands = """() => [...document.querySelectorAll(".plot .layer_0_marks path")]
      .map((own) => Number(own.getAttribute("opacity") ?? own.getAttribute("fill-opacity") ?? 1))"""
    assert any(page.evaluate(bands))
    control(page, "bands").uncheck()
    assert not any(page.evaluate(bands))


def test_the_slider_reads_off_what_the_ladder_says(page):
    slider = page.get_by_role("slider")
    expected = offers(budgets_of())
    body = page.locator("#frontier-offer tr")
    for at, offer in enumerate(expected):
        slider.fill(str(at))
        assert slider.get_attribute("aria-valuetext") == offer.asked
        assert page.locator("#frontier-asked").inner_text() == offer.asked
        shown = [row.locator("th, td").all_inner_texts() for row in body.all()]
        assert shown == offer.rows
    slider.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == expected[-2].asked
    assert "nothing surely keeps it" in expected[0].asked
    assert page.locator(".plot .layer_8_marks path").count() == 3


def test_the_rule_stands_at_the_budget(page):
    rule = page.locator(".plot .layer_7_marks line")
    slider = page.get_by_role("slider")
    places = []
    for at in range(5):
        slider.fill(str(at))
        places.append(rule.bounding_box()["x"])
    # Equal ratios are equal steps on a log axis.
    np.testing.assert_allclose(np.diff(places), places[1] - places[0], atol=1)
    assert places[1] > places[0]


def test_without_a_decision_there_is_no_slider(report, browse):
    page = browse(replace(report, chart=made_up_chart(budgets=budgets_of()[:0])).render())
    drawn(page)
    assert page.get_by_role("slider").count() == 0


def test_a_free_model_stands_at_the_left_end(report, browse):
    page = browse(replace(report, chart=made_up_chart(models=models_of(free=True))).render())
    drawn(page)
    assert ticks(page)[0] == "0"


@pytest.mark.parametrize("dataset", ["A", "full"])
def test_where_all_is_free_the_axis_is_linear(report, browse, dataset):
    lines, models = lines_of(), models_of()
    lines.loc[lines["dataset"] == dataset, "cost"] = 0.0
    models.loc[models["dataset"] == dataset, ["cost", "cost_usd"]] = 0.0
    page = browse(replace(report, chart=made_up_chart(lines, models)).render())
    drawn(page)
    control(page, "dataset").select_option("A")
    drawn(page, 2)
    control(page, "dataset").select_option("all data sets")
    drawn(page, 3)
    assert len(lines_drawn(page)) == 4


def test_a_router_that_a_data_set_lacks_is_not_drawn_whatever_its_name(report, browse):
    lines = lines_of(routers=["knn", "constructor"])
    lines = lines[(lines["router"] == "knn") | (lines["dataset"] == "full")]
    page = browse(replace(report, chart=made_up_chart(lines)).render())
    drawn(page)
    assert len(lines_drawn(page)) == 2
    control(page, "dataset").select_option("A")
    drawn(page, 2)
    assert len(lines_drawn(page)) == 1


def test_routers_without_training_predictions_are_shown_on_the_test_split(report, browse):
    lines = lines_of()
    chart = made_up_chart(lines[lines["chosen_on"] == "test"])
    page = browse(replace(report, chart=chart).render())
    drawn(page)
    assert control(page, "points").input_value() == "test"
    assert len(lines_drawn(page)) == 4


def assert_labels_at_their_points(page, names):
    told = page.evaluate(LABELS)
    numbered = page.locator(".numbered").inner_text()
    numbers = dict(part.split(": ", 1) for part in numbered.split(" · ")) if numbered else {}
    points = np.array(told["points"])
    for at, (label, box) in enumerate(zip(told["labels"], told["boxes"], strict=True)):
        assert numbers.get(label, label) == names[at]
        left, top, right, bottom = box
        beyond = [
            np.maximum(np.maximum(low - points[:, axis], points[:, axis] - high), 0)
            for axis, low, high in ((0, left, right), (1, top, bottom))
        ]
        gaps = np.hypot(*beyond)
        # A number that stands on its point may lie over another one as well.
        assert gaps.argmin() == at or (label in numbers and gaps[at] == gaps.min() == 0)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("n_models", [4, 15, 30])
def test_the_nearest_point_of_each_label_is_its_own(report, browse, width, n_models):
    generator = np.random.default_rng(n_models)
    names = [f"a-vision-language-model-{index}" for index in range(n_models)]
    models = models_of(names=names)
    models["cost"] *= 10 ** generator.normal(0, 0.2, len(models))
    models["utility"] += generator.normal(0, 0.01, len(models))
    chart = made_up_chart(lines_of(n_models=n_models), models, budgets_of(models=names))
    page = browse(replace(report, chart=chart).render(), width)
    drawn(page)
    assert_labels_at_their_points(page, names)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_hostile_names_stay_text(report, browse):
    places = ("full", HOSTILE)
    chart = made_up_chart(
        lines_of(places, [HOSTILE], n_models=1),
        models_of(places, [HOSTILE]),
        budgets_of(models=[HOSTILE]).assign(router=HOSTILE),
        [HOSTILE],
    )
    page = browse(replace(report, chart=chart).render())
    drawn(page)
    assert page.locator(".legend button").inner_text() == HOSTILE
    assert control(page, "dataset").locator("option").nth(1).inner_text() == HOSTILE
    page.mouse.move(*hit(page, 9, 2))
    assert dict(told(page))["router"] == HOSTILE
    page.locator(".legend button").click()
    assert page.locator(".legend [aria-pressed=true]").inner_text() == HOSTILE
    assert HOSTILE in page.locator("#frontier-offer").inner_text()
    assert page.locator(".live script, #vg-tooltip-element script").count() == 0


def test_without_scripts_and_on_paper_the_drawn_figure_stands_in_its_place(report, browse, page):
    still, live = page.locator(".still img"), page.locator("#frontier-chart")
    assert (still.is_visible(), live.is_visible()) == (False, True)
    page.emulate_media(media="print")
    assert (still.is_visible(), live.is_visible()) == (True, False)
    bare = browse(report.render(), java_script_enabled=False)
    assert bare.locator(".still img").is_visible()
    assert not bare.locator("#frontier-chart").is_visible()


def test_the_chart_says_what_is_to_be_seen(report, page):
    finding = report.figures["fig4"].finding
    assert page.locator("#frontier-chart").get_attribute("aria-label") == finding


def test_many_routers_are_drawn_within_two_seconds_and_six_megabytes(report, browse):
    routers = [f"router-{index}{suffix}" for index in range(30) for suffix in ("", "+shrink")]
    datasets = ("full", *(f"data set {index}" for index in range(12)))
    lines = lines_of(datasets, routers, n_points=40)
    chart = made_up_chart(lines, models_of(datasets), prominent=routers[:9])
    html = replace(report, chart=chart).render()
    assert len(html.encode()) < 6e6
    page = browse("")
    watched = page.context.new_cdp_session(page)
    watched.send("Performance.enable")
    page.set_content(html)
    drawn(page)
    told = watched.send("Performance.getMetrics")["metrics"]
    # Of a processor: a busy machine takes no longer.
    assert next(one["value"] for one in told if one["name"] == "ThreadTime") < 2
