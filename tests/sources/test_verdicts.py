"""Verdicts by the rules of VLMEvalKit's data sets."""

import pandas as pd
import pytest

from mmroute.sources.verdicts import FORMULAS, inferred, verdicts


def judged(dataset, **cells):
    return verdicts(dataset, pd.DataFrame([cells], dtype="str")).tolist()


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("(b) or (B).", "B"),
        ("The answer is **C**, not A", "C"),
        ("A then B", None),
        ("B is what I say, as one can see in it", None),
        ("Cannot determine the answer", "Z"),
        ("it is 3/11", "A"),
        ("5", None),
        ("Failed to obtain answer via API.", None),
    ],
)
def test_the_option_that_an_answer_names_or_quotes(answer, letter):
    assert inferred(answer, ["3/11", "8/11", "6/11", "3/5"]) == letter


@pytest.mark.parametrize(
    ("kind", "res", "answer", "right"),
    [
        ("integer", "14", "14", True),
        ("integer", "14.0", "14", False),
        ("float", "1.450", "1.45", True),
        ("float", "nan", "1.45", False),
        ("float", "one", "1.45", False),
        ("list", "[1, 2]", "[1, 2]", False),
    ],
)
def test_mathvista_compares_numbers_of_their_type(kind, res, answer, right):
    told = {"question_type": "free_form", "answer_type": kind, "answer_option": ""}
    assert judged("MathVista_MINI", res=res, answer=answer, **told) == [right]


@pytest.mark.parametrize(
    ("res", "answer", "choices", "right"),
    [
        ("B", "B", "['1', '2']", True),
        ("2", "B", "['1', '2']", True),
        ("A", "B", "['1', '2']", False),
        ("12", "12", "[]", True),
        ("0.5", "1/2", "[]", True),
        (r"\frac{\sqrt{4}}{2}", "1", "[]", True),
        (r"2\pi", "6.283185307", "[]", True),
        ("2^{3}", "8", "[]", True),
        ("9**9**9**9", "8", "[]", False),
        ("__import__('os').abort()", "8", "[]", False),
        ("(" * 5000, "8", "[]", False),
    ],
)
def test_mathvision_compares_options_and_values(res, answer, choices, right):
    assert judged("MathVision_MINI", res=res, answer=answer, choices=choices) == [right]


@pytest.mark.parametrize(
    ("answer", "category", "prediction", "right"),
    [
        ("['CAT', 'dog']", "Regular Text Recognition", "A Dog.", True),
        ("['cat']", "Regular Text Recognition", "c a t", False),
        ("['x + y']", FORMULAS, "x+ y = 2", True),
        ("['X']", FORMULAS, "x", False),
        ("cat", "Regular Text Recognition", "cat", False),
        ("__import__('os').abort()", FORMULAS, "x", False),
    ],
)
def test_ocrbench_looks_for_an_answer_in_the_prediction(answer, category, prediction, right):
    told = judged("OCRBench", answer=answer, category=category, prediction=prediction)
    assert told == [right]


@pytest.mark.parametrize("dataset", ["OCRBench_v2", "MathVistaX", "MMStar"])
def test_other_data_sets_have_no_rule(dataset):
    cells = {"answer": "['a']", "category": "c", "prediction": "a", "res": "a"}
    assert verdicts(dataset, pd.DataFrame([cells])) is None


def test_a_file_without_the_columns_of_its_rule_is_not_judged():
    assert verdicts("MathVista_MINI", pd.DataFrame([{"res": "A", "answer": "A"}])) is None
