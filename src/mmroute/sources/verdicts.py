"""Whether answers are right, by the rules of data sets that VLMEvalKit only counts over.

For MathVista, MathVision and OCRBench it writes no verdict per sample. The rules are those of
its code (github.com/open-compass/VLMEvalKit at e8e78f05: ``vlmeval/dataset/utils/mathvista.py``,
``utils/mathv.py``, ``image_vqa.py``, ``vlmeval/utils/matching_util.py``), so that a mean over
verdicts is what the file of scores beside them says. What it evaluates as code is read here as
literals and as arithmetic only.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from string import ascii_uppercase
from typing import Any

import numpy as np
import pandas as pd

FORMULAS = "Handwritten Mathematical Expression Recognition"
NO_ANSWER = "Z"
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
CLOSE = 1e-6
LONGEST_FORMULA = 300
_PUNCTUATION = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_STATED = re.compile(r"(?:correct\s+)?answer\s+is\s+\**([ABCD])\**", re.IGNORECASE)
_OPERATORS: Mapping[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_LATEX = (
    (re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}"), r"((\1)/(\2))"),
    (re.compile(r"\\sqrt\{([^{}]*)\}"), r"((\1)**0.5)"),
    (re.compile(r"\\(?:left|right)|\$|\\[,;! ]"), ""),
    (re.compile(r"\\(?:cdot|times)"), "*"),
    (re.compile(r"\\pi\b"), f"({math.pi})"),
    (re.compile(r"\^\{([^{}]*)\}"), r"**(\1)"),
    (re.compile(r"\^"), "**"),
    (re.compile(r"(?<=[\d)])\s*(?=\()"), "*"),
)


def verdicts(dataset: str, cells: pd.DataFrame) -> np.ndarray | None:
    """Judge a file's n answers by the rule of its data set.

    Parameters
    ----------
    dataset
        VLMEvalKit's name of it.
    cells
        n rows of text.

    Returns
    -------
    (n,) bool; None where no rule is known, or a column that it reads is not there.
    """
    for prefix, (needed, judge) in _RULES.items():
        if re.match(rf"{prefix}(?:_(?!v2)|$)", dataset) and needed <= set(cells):
            rows = (dict(zip(map(str, cells), row, strict=True)) for row in cells.to_numpy(object))
            return np.array([judge(row) for row in rows], bool)
    return None


def _mathvista(row: Mapping[str, str]) -> bool:
    """Compare the judge's extract with the answer; one that is text is never right there."""
    if row["question_type"] == "multi_choice":
        return inferred(row["res"], _literal(row.get("choices", ""))) == row["answer_option"]
    kind = {"integer": int, "float": float}.get(row.get("answer_type", ""))
    if kind is None:
        return row["answer"] == "None"
    try:
        return bool(kind(row["res"]) == kind(row["answer"]))
    except (ValueError, OverflowError):
        return False


def _mathvision(row: Mapping[str, str]) -> bool:
    """Compare the judge's extract with the answer: as an option, as text or as a number."""
    choices = _literal(row["choices"])
    found = inferred(row["res"], choices) if choices else row["res"]
    return found is not None and _equal(found, row["answer"])


def _ocrbench(row: Mapping[str, str]) -> bool:
    """Look for one of the answers in the prediction; in formulas blanks do not count."""

    def plain(text: str) -> str:
        text = text.strip().replace("\n", " ")
        return text.replace(" ", "") if row["category"] == FORMULAS else text.lower()

    prediction = plain(row["prediction"])
    return any(plain(str(answer)) in prediction for answer in _literal(row["answer"]))


_RULES: Mapping[str, tuple[frozenset[str], Callable[[Mapping[str, str]], bool]]] = {
    "MathVista": (frozenset({"res", "question_type", "answer", "answer_option"}), _mathvista),
    "MathVision": (frozenset({"res", "choices", "answer"}), _mathvision),
    "OCRBench": (frozenset({"prediction", "answer", "category"}), _ocrbench),
}


def inferred(answer: str, choices: Sequence[Any]) -> str | None:
    """Return the letter of the option that an answer names or quotes; None if that is not clear.

    Without the texts of the choices all letters are options.
    """
    if any(refusal in answer for refusal in REFUSALS):
        return NO_ANSWER
    letters = ascii_uppercase[: len(choices)] if choices else ascii_uppercase
    words = answer.translate(_PUNCTUATION).split()
    named = [letter for letter in letters if letter in words]
    if len(named) == 1 and words.index(named[0]) > len(words) - 5:
        return named[0]
    if not named and NO_ANSWER in words:
        return NO_ANSWER
    stated = _STATED.search(answer)
    if stated and stated[1].upper() in letters:
        return stated[1].upper()
    texts = [str(choice).lower() for choice in choices]
    if len(answer) > 2 * sum(map(len, texts)):
        return None
    quoted = [
        letter for letter, text in zip(letters, texts, strict=False) if text in answer.lower()
    ]
    return quoted[0] if len(quoted) == 1 else None


def _literal(text: str) -> list[Any]:
    """Return the list that a cell spells out; empty where it is none."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    return list(found) if isinstance(found, list | tuple) else []


def _equal(first: str, second: str) -> bool:
    first, second = first.lower().strip(), second.lower().strip()
    if first == second:
        return True
    numbers = _value(first), _value(second)
    return None not in numbers and abs(numbers[0] - numbers[1]) < CLOSE  # type: ignore[operator]


def _value(text: str) -> float | None:
    """Return the number that plain arithmetic or its LaTeX comes to; None where it is neither."""
    if len(text) > LONGEST_FORMULA:
        return None
    written = ""
    while written != text:
        written = text
        for pattern, plain in _LATEX:
            text = pattern.sub(plain, text)
    try:
        found = _evaluate(ast.parse(text.strip(), mode="eval").body)
    except (ValueError, SyntaxError, ArithmeticError, RecursionError, MemoryError):
        return None
    return found if math.isfinite(found) else None


def _evaluate(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_evaluate(operand))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_evaluate(left), _evaluate(right))
    raise ValueError("no arithmetic")
