"""Writing without pictures: word problems, and questions of knowledge and of science.

What makes a question hard is in its words: how many steps it takes, and how rare
the fact is that it needs.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from mmroute.sources.simulation.questions import (
    CAPITALS,
    ELEMENTS,
    chained,
    distractors,
    near_misses,
    pick,
    sample,
    with_options,
)

_Row = TypeVar("_Row")


class TextQuery(NamedTuple):
    """A question as it is put, with its answer and wrong answers."""

    question: str
    answer: str
    wrong: list[str]


class TextTask(NamedTuple):
    """A kind of question.

    Attributes
    ----------
    write
        Drafts a question from a generator, the steps and the recall in [0, 1), with its
        answer and, where this is no number, texts to draw wrong answers from.
    recalls
        Whether it takes a fact that the question does not tell.
    reasons
        Whether it takes arithmetic steps.
    span
        As of a task with a picture; there is none.
    """

    write: Callable[[np.random.Generator, int, float], tuple[str, str | int, Sequence[str]]]
    recalls: bool = False
    reasons: bool = False
    span: float = 0.0


class _Story(NamedTuple):
    """A word problem about one number that begins as ``a`` times ``b``.

    ``more``, ``less``, ``times`` and ``share`` are what may happen to it.
    """

    openings: Sequence[str]
    more: Sequence[str]
    less: Sequence[str]
    times: Sequence[str]
    share: Sequence[str]
    closings: Sequence[str]


_NAMES = ("Amina", "Chloé", "Dmitri", "Elif", "Hiroshi", "José", "Kofi", "Mei", "Noor", "Tove")
_THINGS = ("stickers", "marbles", "shells", "postcards", "buttons", "stamps", "beads", "coins")

_GOODS = _Story(
    openings=(
        "{name} buys {a} boxes with {b} {things} in each.",
        "In {name}'s album there are {a} pages, and every page holds {b} {things}.",
        "{name} packs {a} bags. Each bag has {b} {things} in it.",
    ),
    more=(
        "{friend} gives {name} {k} more.",
        "Under the bed {name} finds another {k} {things}.",
    ),
    less=(
        "{name} loses {k} of them.",
        "{k} {things} are given to {friend}.",
    ),
    times=(
        "By the end of the month {name} has {k} times as many.",
        "{name} trades cleverly, and the collection grows to {k} times its size.",
    ),
    share=(
        "All {things} are shared equally among {k} friends, {name} being one of them.",
        "{name} sorts them into {k} equal piles and keeps only one pile.",
    ),
    closings=(
        "How many {things} does {name} have in the end?",
        "How many {things} are left for {name}?",
    ),
)
_MONEY = _Story(
    openings=(
        "{name} earns {b} dollars an hour and works for {a} hours.",
        "{name} sells {a} cakes at {b} dollars each.",
        "For {a} weeks {name} saves {b} dollars every week.",
    ),
    more=("{friend} pays back {k} dollars.", "{name} gets a tip of {k} dollars."),
    less=("{name} spends {k} dollars on a book.", "A bus ticket costs {name} {k} dollars."),
    times=(
        "The next job brings {name}'s money to {k} times what it was.",
        "Thanks to a bonus {name} now has {k} times as much.",
    ),
    share=(
        "{name} splits the money evenly among {k} people and keeps one part.",
        "{name} keeps only one of {k} equal parts and gives the rest away.",
    ),
    closings=("How many dollars does {name} have now?", "How much money is left, in dollars?"),
)
_JOURNEY = _Story(
    openings=(
        "A van drives for {a} hours at {b} km an hour.",
        "{name} plans a tour of {a} days with {b} km on each day.",
        "A ferry makes {a} crossings of {b} km each.",
    ),
    more=("A detour adds {k} km.", "Then come another {k} km."),
    less=("A short cut saves {k} km.", "The last {k} km are cancelled."),
    times=(
        "The whole way is then done {k} times instead of once.",
        "In the following year the distance is {k} times as long.",
    ),
    share=(
        "The way is divided evenly among {k} drivers, and only the first one's part counts.",
        "The way is cut into {k} equal legs, and only one leg counts.",
    ),
    closings=("How many km is that?", "What distance is left, in km?"),
)

_WORKS = (
    ("Hamlet", "William Shakespeare"),
    ("Pride and Prejudice", "Jane Austen"),
    ("War and Peace", "Leo Tolstoy"),
    ("Don Quixote", "Miguel de Cervantes"),
    ("Moby-Dick", "Herman Melville"),
    ("Les Misérables", "Victor Hugo"),
    ("Crime and Punishment", "Fyodor Dostoevsky"),
    ("Faust", "Johann Wolfgang von Goethe"),
    ("Middlemarch", "George Eliot"),
    ("The Tale of Genji", "Murasaki Shikibu"),
    ("Dead Souls", "Nikolai Gogol"),
    ("Oblomov", "Ivan Goncharov"),
    ("The Betrothed", "Alessandro Manzoni"),
    ("Effi Briest", "Theodor Fontane"),
    ("Max Havelaar", "Multatuli"),
    ("Niels Lyhne", "Jens Peter Jacobsen"),
)
_EVENTS = (
    ("the first landing on the Moon", 1969),
    ("the fall of the Berlin Wall", 1989),
    ("the storming of the Bastille", 1789),
    ("the Battle of Hastings", 1066),
    ("the Battle of Waterloo", 1815),
    ("the fall of Constantinople", 1453),
    ("the sealing of Magna Carta", 1215),
    ("the Great Fire of London", 1666),
    ("the Peace of Westphalia", 1648),
    ("the Treaty of Tordesillas", 1494),
    ("the Battle of Lepanto", 1571),
    ("the Edict of Nantes", 1598),
    ("the Peace of Augsburg", 1555),
    ("the Battle of Grunwald", 1410),
    ("the Treaty of Nystad", 1721),
    ("the Golden Bull of Charles IV", 1356),
)
_QUANTITIES = (
    ("watt", "power"),
    ("volt", "electric potential"),
    ("newton", "force"),
    ("joule", "energy"),
    ("hertz", "frequency"),
    ("pascal", "pressure"),
    ("ohm", "electrical resistance"),
    ("coulomb", "electric charge"),
    ("farad", "capacitance"),
    ("tesla", "magnetic flux density"),
    ("lux", "illuminance"),
    ("becquerel", "radioactivity"),
    ("henry", "inductance"),
    ("siemens", "electrical conductance"),
    ("weber", "magnetic flux"),
    ("katal", "catalytic activity"),
)
_ANIMALS = (
    ("dog", "mammals"),
    ("eagle", "birds"),
    ("salmon", "fish"),
    ("bee", "insects"),
    ("crocodile", "reptiles"),
    ("frog", "amphibians"),
    ("spider", "arachnids"),
    ("crab", "crustaceans"),
    ("dolphin", "mammals"),
    ("snail", "molluscs"),
    ("newt", "amphibians"),
    ("scorpion", "arachnids"),
    ("starfish", "echinoderms"),
    ("tuatara", "reptiles"),
    ("barnacle", "crustaceans"),
    ("sea cucumber", "echinoderms"),
)
_LAWS = (
    "A car drives for {a} h at {b} km/h. What distance does it cover, in km?",
    "A body of {a} kg is accelerated by {b} m/s². What force acts on it, in N?",
    "A force of {a} N pushes a box over {b} m. What work is done, in J?",
    "A current of {a} A flows through {b} Ω. What is the voltage, in V?",
    ("At a voltage of {a} V flows a current of {b} A. What is the power, in W?"),
    "A lamp of {a} W burns for {b} s. What energy does it take, in J?",
    "A ball of {a} kg moves at {b} m/s. What is its momentum, in kg m/s?",
    "A pressure of {a} Pa acts on {b} m². What is the force, in N?",
    "A wave has {a} Hz and a wavelength of {b} m. How fast does it travel, in m/s?",
    "A force of {a} N acts for {b} s. What is the impulse, in N s?",
    "A force of {a} N acts on a lever arm of {b} m. What is the torque, in N m?",
    "A current of {a} A flows for {b} s. What charge has passed, in C?",
    "A capacitor of {a} F is charged to {b} V. What charge does it hold, in C?",
    "A field of {a} T passes straight through {b} m². What is the magnetic flux, in Wb?",
    "The current in a coil of {a} H changes by {b} A/s. What voltage is induced, in V?",
    "A body with {a} kg m² turns at {b} rad/s. What is its angular momentum, in kg m²/s?",
)
"""All tables run from the familiar to the obscure."""


def _told(
    story: _Story, rng: np.random.Generator, steps: int, recall: float
) -> tuple[str, int, Sequence[str]]:
    """Tell a story of ``steps`` events after its opening, and ask how it ends."""
    name, friend = sample(rng, _NAMES, 2)
    words = {"name": name, "friend": friend, "things": pick(rng, _THINGS)}
    a, b = rng.integers(3, 13, 2).tolist()
    value = a * b
    told = [pick(rng, story.openings).format(a=a, b=b, **words)]
    for _ in range(steps):
        parts = [k for k in range(2, 7) if value % k == 0]
        more, times = int(rng.integers(2, 25)), int(rng.integers(2, 4))
        events = [(story.more, more, value + more), (story.times, times, value * times)]
        if value > 2:
            less = int(rng.integers(1, min(value - 1, 20) + 1))
            events.append((story.less, less, value - less))
        if parts:
            share = int(rng.choice(parts))
            events.append((story.share, share, value // share))
        forms, k, value = events[rng.integers(len(events))]
        told.append(pick(rng, forms).format(k=k, **words))
    told.append(pick(rng, story.closings).format(**words))
    return " ".join(told), value, ()


def _fact(
    table: Sequence[tuple[Any, ...]],
    forms: Sequence[str],
    rng: np.random.Generator,
    steps: int,
    recall: float,
) -> tuple[str, str | int, Sequence[str]]:
    """Ask for the last column of a table by the others."""
    *clues, answer = _at(recall, table)
    return pick(rng, forms).format(*clues), answer, [row[-1] for row in table]


def _law(rng: np.random.Generator, steps: int, recall: float) -> tuple[str, int, Sequence[str]]:
    """Ask for a physical quantity by a law that is not told, and for steps on the result."""
    a, b = rng.integers(2, 30, 2).tolist()
    chain, value = chained(rng, a * b, steps)
    return _at(recall, _LAWS).format(a=a, b=b) + chain, value, ()


def _at(recall: float, table: Sequence[_Row]) -> _Row:
    return table[int(recall * len(table))]


TEXT_TASKS = {
    "goods_story": TextTask(partial(_told, _GOODS), reasons=True),
    "money_story": TextTask(partial(_told, _MONEY), reasons=True),
    "journey_story": TextTask(partial(_told, _JOURNEY), reasons=True),
    "capital": TextTask(
        partial(
            _fact,
            CAPITALS,
            (
                "What is the capital of {}?",
                "Which city is the capital of the country called {}?",
                "Geography: name the capital city of {}.",
            ),
        ),
        recalls=True,
    ),
    "element": TextTask(
        partial(
            _fact,
            [(symbol, number, name) for name, symbol, number in ELEMENTS],
            (
                "Which chemical element has the symbol {0}?",
                "In the periodic table, which element has the atomic number $Z = {1}$?",
                "Chemistry: {0} stands for which element?",
            ),
        ),
        recalls=True,
    ),
    "author": TextTask(
        partial(
            _fact,
            _WORKS,
            (
                "Who wrote “{}”?",
                "Literature: “{}” is a work by whom?",
                "Which author is known for “{}”?",
            ),
        ),
        recalls=True,
    ),
    "year": TextTask(
        partial(
            _fact,
            _EVENTS,
            (
                "In which year was {}?",
                "History: give the year of {}.",
                "When, to the year, was {}?",
            ),
        ),
        recalls=True,
    ),
    "unit_quantity": TextTask(
        partial(
            _fact,
            _QUANTITIES,
            (
                "What is measured in the unit {}?",
                "A student notes a result in {}. Which quantity was measured?",
                "The {} is the SI unit of what?",
            ),
        ),
        recalls=True,
    ),
    "animal_class": TextTask(
        partial(
            _fact,
            _ANIMALS,
            (
                "To which group of animals does the {} belong?",
                "A scientist classifies this animal: {}. In which group does it go?",
                "Which group of animals includes the {}?",
            ),
        ),
        recalls=True,
    ),
    "physical_law": TextTask(_law, recalls=True, reasons=True),
}


def ask_text(
    rng: np.random.Generator, task: TextTask, *, steps: int, recall: float, choice: bool
) -> TextQuery:
    """Put a question of the given task and difficulty; arguments as for ``questions.ask``."""
    question, answer, texts = task.write(rng, steps, recall)
    if isinstance(answer, int):
        wrong, answer = near_misses(rng, answer), str(answer)
    else:
        wrong = distractors(answer, lambda: pick(rng, texts))
    if not choice:
        return TextQuery(question, answer, wrong)
    return TextQuery(*with_options(rng, question, answer, wrong))
