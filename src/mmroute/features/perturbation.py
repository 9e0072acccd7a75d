"""Questions asked in other words that mean the same (RouterArena's robustness).

What could carry the meaning stays as it is: everything but plain words and the spaces between
them. Formulas, code and answer options are left alone, the latter from their letter to the end of
the line, and so is every token with a digit, a sign or a capital within it. The four kinds and
their rates are ours.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from mmroute.storage import digest_bytes

TYPING_SHARE = 0.1
"""Of the words that can take a typing error; one at least."""
SPACING_SHARE = 0.2
"""Of the spaces between plain words; one at least."""
SHORTEST_CAPITALISED, SHORTEST_MISTYPED = 3, 6
"""Letters of a word that loses its capital, and of one with a typing error: shorter ones can be
units, symbols of elements and variables, or become another word."""
TEMPLATES = (
    "I need help with this: {}",
    "Could you help me with the following? {}",
    "Please work on this. {}",
    "Here is my question. {}",
)

# Bounded, so that an opening without an end costs no more than it is long.
_KEPT = re.compile(
    r"```.{0,5000}?```|`[^`\n]{1,500}`"
    r"|\$\$.{1,500}?\$\$|\$[^$\n]{1,500}\$|\\\(.{1,500}?\\\)|\\\[.{1,500}?\\\]"
    # An answer option.
    r"|(?<!\S)(?:\(?[A-Ja-j0-9]\)|[A-J][.:．、])[^\n]*",
    re.DOTALL,
)
_WORD = re.compile(r"(?<!\S)[\"'“‘(]{0,3}([^\W\d_]+)[\"'”’).,;:!?]{0,3}(?!\S)")
_SPACE = re.compile(r"(?<=[^\W\d_]|[.,;:!?])( )(?=[^\W\d_])")


def perturb(questions: Sequence[str], sample_ids: Sequence[str], kind: str, seed: int) -> list[str]:
    """Return N questions perturbed in one of the ways of ``KINDS``.

    What becomes of a question depends on its id, the kind and the seed, not on the others. One
    without a place to change stays as it is, and so does an empty one.
    """
    return [
        KINDS[kind](question, _draws(seed, kind, sample_id)) if question.strip() else question
        for question, sample_id in zip(questions, sample_ids, strict=True)
    ]


def _draws(seed: int, kind: str, sample_id: str) -> np.random.Generator:
    return np.random.default_rng([seed, int(digest_bytes(f"{kind}\0{sample_id}".encode()), 16)])


def _lower_case(question: str, draws: np.random.Generator) -> str:
    """Write words small that begin with a capital."""
    places = [
        (start, end)
        for start, end in _places(_WORD, question)
        if end - start >= SHORTEST_CAPITALISED
        and question[start:end].istitle()
        # Not where it becomes two letters.
        and len(question[start:end].lower()) == end - start
    ]
    return _replaced(question, {place: question[slice(*place)].lower() for place in places})


def _wider_spaces(question: str, draws: np.random.Generator) -> str:
    """Double some spaces."""
    return _replaced(
        question,
        {place: "  " for place in _some(_places(_SPACE, question), SPACING_SHARE, draws)},
    )


def _mistyped(question: str, draws: np.random.Generator) -> str:
    """Double an inner letter of some words, or exchange it with the next inner one."""
    places = [
        (start, end)
        for start, end in _places(_WORD, question)
        if end - start >= SHORTEST_MISTYPED and question[start + 1 : end].islower()
    ]
    errors = {}
    for start, end in _some(places, TYPING_SHARE, draws):
        at = int(draws.integers(start + 1, end - 2))
        first, second = question[at], question[at + 1]
        doubled = draws.random() < 0.5 or first == second
        errors[at, at + 2] = first * 2 + second if doubled else second + first
    return _replaced(question, errors)


def _asked_by_template(question: str, draws: np.random.Generator) -> str:
    """Put a sentence before it."""
    return TEMPLATES[draws.integers(len(TEMPLATES))].format(question)


KINDS: dict[str, Callable[[str, np.random.Generator], str]] = {
    "case": _lower_case,
    "spacing": _wider_spaces,
    "typing": _mistyped,
    "paraphrase": _asked_by_template,
}
"""Ways to perturb a question, by name."""


def _places(pattern: re.Pattern[str], question: str) -> list[tuple[int, int]]:
    """Where the pattern's group lies, outside of what is kept."""
    kept = bytearray(len(question))
    for match in _KEPT.finditer(question):
        kept[slice(*match.span())] = b"\1" * len(match[0])
    spans = (match.span(1) for match in pattern.finditer(question))
    return [span for span in spans if not any(kept[slice(*span)])]


def _some(
    places: list[tuple[int, int]], share: float, draws: np.random.Generator
) -> list[tuple[int, int]]:
    count = min(len(places), max(1, round(share * len(places))))
    return [places[index] for index in np.sort(draws.permutation(len(places))[:count])]


def _replaced(question: str, replacements: dict[tuple[int, int], str]) -> str:
    parts, done = [], 0
    for (start, end), text in replacements.items():
        parts += [question[done:start], text]
        done = end
    return "".join([*parts, question[done:]])
