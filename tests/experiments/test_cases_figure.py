"""Figure S2: real images and texts, shown and never interpreted."""

import base64
import io
import xml.dom.minidom
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment
from matplotlib import pyplot as plt
from PIL import Image

from mmroute.experiments.cases import NO_IMAGE, RESCUE, SAVING, Cases
from mmroute.images import paths_below
from mmroute.presentation.figures import save, shorten

HOSTILE = "<script>alert(1)</script> $\\frac{1$ %s {{ 7*7 }} \x00\x1b[31m\u202e\ufffe"


def draw(cases, root, title):
    return Cases().draw(cases.assign(image=paths_below(root, cases["image"])), title)


def cards(cases, root):
    return Cases().cards(cases.assign(image=paths_below(root, cases["image"])))


def cases(**given):
    case = {
        "kind": [SAVING, SAVING, RESCUE],
        "sample_id": ["A_0", "B_1", "A_2"],
        "dataset": "A",
        "question": "How many circles are there?",
        "answer": "3",
        "image": "picture.png",
        "chosen": "cheap",
        "chosen_answer": "3",
        "chosen_cost_usd": 0.000012345,
        "reference": "dear",
        "reference_answer": "4",
        "reference_cost_usd": 0.02,
    }
    return pd.DataFrame(case | given, columns=list(case)).astype({"image": object})


@pytest.fixture
def root(tmp_path):
    pixels = np.zeros((30, 60, 3), np.uint8)
    pixels[:, :30] = [255, 0, 0]
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(figure):
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def decoded(uri):
    header, content = uri.split(",")
    assert header == "data:image/jpeg;base64"
    return base64.b64decode(content)


# --- the figure -------------------------------------------------------------------------------


def test_each_case_has_its_image_and_its_story(root):
    figure = draw(cases(), root, "title")
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert [image.shape for image in shown] == [(30, 60, 3)] * 3
    story = texts(figure)
    assert story.count("How many circles are there?") == 3
    assert "A · B_1" in story
    assert "✓ chosen: cheap, USD 0.000012" in story
    assert story.count("✓ strongest: dear, USD 0.02") == 2
    assert story.count("✗ strongest: dear, USD 0.02") == 1
    assert story.count("answers 4") == 3


def test_savings_are_left_and_rescues_right(root):
    figure = draw(cases(), root, "title")
    left = [axes.get_position().x0 for axes in figure.axes if axes.images]
    assert left[0] == left[1] < left[2]


def test_several_images_share_the_room_of_one_in_their_order(root):
    Image.new("RGB", (500, 500), (0, 0, 255)).save(root / "blue.png")
    figure = draw(cases(image="picture.png//absent.png//blue.png"), root, "title")
    sheet = next(axes.images[0].get_array() for axes in figure.axes if axes.images)
    assert sheet.shape == (400, 400, 3)
    assert [sheet[5, 5].tolist(), sheet[5, 55].tolist()] == [[255, 0, 0], [0, 0, 0]]
    assert (sheet[:200, 200:] == 255).all()
    assert (sheet[200:, :200] == [0, 0, 255]).all()
    content = decoded(cards(cases(image="picture.png//blue.png"), root)[0]["image"])
    assert Image.open(io.BytesIO(content)).size == (400, 200)
    many = cards(cases(image="//".join(["blue.png"] * 1000)), root)[0]["image"]
    assert Image.open(io.BytesIO(decoded(many))).size == (384, 384)
    assert cards(cases(image="absent.png//gone.png"), root)[0]["image"] is None


@pytest.mark.parametrize("image", [None, np.nan, "absent.png", "evil.svg", "broken.png", "a\0b"])
def test_an_image_that_cannot_be_shown_has_a_placeholder(root, image):
    (root / "evil.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>")
    (root / "broken.png").write_bytes((root / "picture.png").read_bytes()[:60])
    figure = draw(cases(image=image), root, "title")
    assert texts(figure).count(NO_IMAGE) == 3
    assert [case["image"] for case in cards(cases(image=image), root)] == [None] * 3


def test_whatever_stands_in_the_data_is_drawn_as_text(root, tmp_path):
    names = ("sample_id", "dataset", "question", "answer", "chosen", "chosen_answer", "reference")
    figure = draw(cases(**dict.fromkeys(names, HOSTILE)), root, HOSTILE)
    assert "<script>alert(1)</script> $\\frac{1$ %s" in texts(figure)
    save(figure, [tmp_path / "figS2.svg"])
    svg = xml.dom.minidom.parse(str(tmp_path / "figS2.svg"))
    assert not svg.getElementsByTagName("script")


def test_missing_texts_are_left_out(root):
    nothing = cases(question="", answer=None, chosen_answer=None, reference_answer=np.nan)
    story = texts(draw(nothing, root, "title"))
    assert "(no text)" in story
    assert "answer" not in story


def test_long_texts_stay_in_their_panel(root):
    words = cases(question="word " * 1000, answer="z" * 1000, chosen_answer="long " * 1000)
    figure = draw(words, root, "title")
    figure.canvas.draw()
    for axes in figure.axes:
        for text in axes.texts:
            box, panel = text.get_window_extent(), axes.get_window_extent()
            assert box.x1 <= panel.x1 + 1
            assert box.y0 >= panel.y0 - 1


def test_without_cases_the_figure_says_so(root):
    figure = draw(cases().iloc[:0], root, "title")
    assert [text.get_text().endswith(": none") for text in figure.texts[:2]] == [True, True]


def test_the_same_cases_give_the_same_bytes(root, tmp_path):
    for run in ("one", "two"):
        save(draw(cases(), root, "title"), [tmp_path / f"{run}.svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


# --- the report -------------------------------------------------------------------------------


def test_the_report_has_the_pixels_and_nothing_else_of_a_file(root):
    image = Image.open(root / "picture.png")
    exif = Image.Exif()
    exif[0x010E] = "secret"
    image.save(root / "tagged.jpg", exif=exif, comment=b"secret", icc_profile=b"secret")
    content = decoded(cards(cases(image="tagged.jpg"), root)[0]["image"])
    assert b"secret" in (root / "tagged.jpg").read_bytes()
    assert b"secret" not in content
    pixels = np.asarray(Image.open(io.BytesIO(content)), int)
    assert np.abs(pixels[15, 5] - [255, 0, 0]).max() < 20
    assert np.abs(pixels[15, 55]).max() < 20


def test_a_large_image_is_small_in_the_report(root):
    noise = np.random.default_rng(0).integers(0, 256, (900, 1500, 3), np.uint8)
    Image.fromarray(noise).save(root / "large.png")
    content = decoded(cards(cases(image="large.png"), root)[0]["image"])
    assert Image.open(io.BytesIO(content)).size == (400, 240)
    assert len(content) < 200_000


def test_an_autoescaping_template_shows_the_texts_as_text(root):
    shown = cards(cases(question=HOSTILE, image='"><script>.png'), root)[0]
    html = Environment(autoescape=True).from_string(
        '<img src="{{ case.image }}">{{ case.question }}'
    )
    assert "<script" not in html.render(case=shown)
    assert shown["question"].startswith("<script>alert(1)</script> $\\frac{1$ %s {{ 7*7 }}")


def test_the_report_keeps_the_numbers_and_empties_missing_texts(root):
    shown = cards(cases(answer=None), root)[2]
    assert (shown["kind"], shown["answer"]) == (RESCUE, "")
    assert (shown["chosen_cost_usd"], shown["reference_cost_usd"]) == (0.000012345, 0.02)
    assert shown.keys() == set(cases().columns)


def test_an_endless_text_is_cut_in_the_report(root):
    assert len(cards(cases(question="x" * 10**6), root)[0]["question"]) == 1000


# --- texts ------------------------------------------------------------------------------------


def test_a_text_is_cut_by_an_ellipsis():
    assert shorten("one two three", 8) == "one two…"
    assert shorten("one two", 7) == "one two"


def test_lines_and_tabs_become_spaces_and_control_characters_vanish():
    assert shorten("a\n\tb\x00\x1b[0m\u202e\ud800c", 99) == "a b[0mc"


@given(st.text(st.characters(codec=None)), st.integers(1, 40))
def test_any_text_becomes_a_short_line_that_a_file_can_hold(text, longest):
    line = shorten(text, longest)
    assert len(line) <= longest
    assert len(line.splitlines()) <= 1
    xml.dom.minidom.parseString(f"<a>{escape(line)}</a>")
