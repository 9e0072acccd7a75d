"""Writing: for each kind of task a picture, a question about it and its true answer.

What makes a question hard is in its words: how many steps it asks for beyond
reading the picture, how rare the fact is that it needs, and whether it is about
a detail or about everything in sight.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmroute.sources.simulation import pictures
from mmroute.sources.simulation.pictures import COLOURS, CORNERS, MAP_COLUMNS, THINGS, Thing

OPTIONS = 4
"""Options of a multiple-choice question."""

STEPS = 5
"""Most arithmetic steps that a question asks for beyond its picture."""


class Draft(NamedTuple):
    """A picture and a question about it, before arithmetic steps and options are added.

    ``wrong`` holds plausible wrong answers to a question whose answer is a text.
    """

    picture: Image.Image
    question: str
    answer: str | int
    wrong: Sequence[str] = ()


class Query(NamedTuple):
    """A question as it is put, with its picture, its answer and wrong answers."""

    picture: Image.Image
    question: str
    answer: str
    wrong: list[str]


class Task(NamedTuple):
    """A kind of question.

    Attributes
    ----------
    write
        Drafts one from a generator, the clutter and the recall in [0, 1].
    span
        How much of the picture the question is about, in [0, 1].
    recalls
        Whether it takes a fact from outside the picture.
    reasons
        Whether its answer is a number that arithmetic steps may follow.
    """

    write: Callable[[np.random.Generator, float, float], Draft]
    span: float
    recalls: bool = False
    reasons: bool = False


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FRUIT = _words(
    "Apples Pears Plums Cherries Figs Grapes Lemons Melons Peaches Quinces Mangoes Olives "
    "Walnuts Almonds Dates Limes Kiwis Guavas Papayas Raisins"
)
_GOODS = _words(
    "Bread Milk Butter Cheese Honey Rice Pasta Coffee Tea Sugar Flour Eggs Yoghurt Juice Salt "
    "Pepper Beans Lentils Soap Candles Matches Vinegar Mustard Jam Oats Biscuits"
)
_SHOPS = (
    "Café Zürich",
    "São João",
    "Corner Store",
    "Harbour Deli",
    "Møller & Søn",
    "Old Mill",
    "Green Basket",
    "Épicerie 27",
)
_PLACES = _words(
    "Alder Birch Cedar Dune Elm Fern Gorse Heath Iris Juniper Kelp Larch Moss Nettle Oak Pine "
    "Quarry Rowan Sedge Thorn Upton Vale Willow Yarrow"
)
_NOUNS = _words(
    "river stone lamp garden window letter market winter bridge paper silver morning harbour "
    "forest engine valley signal thunder copper meadow station candle voyage pattern shadow "
    "timber column anchor mirror saddle"
)
_SIGNS = _words(
    "CITY HALL PORT ROAD EXIT NORTH BAKERY MUSEUM SLOW DOWN STATION LIBRARY FERRY BRIDGE "
    "TUNNEL CINEMA GARAGE MARKET CHAPEL"
)
_SUBJECTS = ("Harvest", "Sales", "Exports", "Visitors", "Output", "Stocks")
_UNITS = ("cm", "m", "mm")

CAPITALS = (
    ("France", "Paris"),
    ("Japan", "Tokyo"),
    ("Italy", "Rome"),
    ("Spain", "Madrid"),
    ("Egypt", "Cairo"),
    ("Canada", "Ottawa"),
    ("Kenya", "Nairobi"),
    ("Norway", "Oslo"),
    ("Peru", "Lima"),
    ("Chile", "Santiago"),
    ("Nepal", "Kathmandu"),
    ("Ghana", "Accra"),
    ("Latvia", "Riga"),
    ("Oman", "Muscat"),
    ("Fiji", "Suva"),
    ("Gabon", "Libreville"),
    ("Bhutan", "Thimphu"),
    ("Palau", "Ngerulmud"),
)
ELEMENTS = (
    ("Gold", "Au", 79),
    ("Iron", "Fe", 26),
    ("Carbon", "C", 6),
    ("Silver", "Ag", 47),
    ("Copper", "Cu", 29),
    ("Sodium", "Na", 11),
    ("Lead", "Pb", 82),
    ("Tin", "Sn", 50),
    ("Mercury", "Hg", 80),
    ("Tungsten", "W", 74),
    ("Antimony", "Sb", 51),
    ("Bismuth", "Bi", 83),
    ("Yttrium", "Y", 39),
    ("Hafnium", "Hf", 72),
    ("Osmium", "Os", 76),
    ("Rhenium", "Re", 75),
    ("Thulium", "Tm", 69),
    ("Terbium", "Tb", 65),
)
"""Both from the familiar to the obscure."""


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """Draw one of some texts."""
    return options[int(rng.integers(len(options)))]


def sample(rng: np.random.Generator, options: Sequence[str], count: int) -> list[str]:
    """Draw ``count`` different ones of some texts."""
    return [options[index] for index in rng.permutation(len(options))[:count]]


def distractors(answer: str, draw: Callable[[], str]) -> list[str]:
    """Draw until there are enough wrong answers, all different."""
    found = {answer}
    others: list[str] = []
    while len(others) < OPTIONS - 1:
        other = draw()
        if other not in found:
            found.add(other)
            others.append(other)
    return others


def _between(low: int, high: int, share: float) -> int:
    return low + round((high - low) * share)


def page_heading(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for the heading of a page; easy, however much text follows."""
    picture, heading, _ = _page(rng, clutter)
    question = pick(
        rng,
        (
            "What is the heading of this page?",
            "Copy the title printed in bold at the top.",
            "Which title stands above the rule?",
        ),
    )
    wrong = distractors(heading, lambda: " ".join(sample(rng, _NOUNS, 2)).title())
    return Draft(picture, question, heading, wrong)


def page_word_count(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask how often a word occurs; hard on a full page."""
    picture, _, words = _page(rng, clutter)
    word = words[rng.integers(len(words))]
    question = pick(
        rng,
        (
            "How many times does the word “{}” occur in the text below the rule?",
            "Count every occurrence of “{}” in the whole text under the heading.",
            "Go through all lines: how often is “{}” printed?",
        ),
    ).format(word)
    return Draft(picture, question, words.count(word))


def _page(rng: np.random.Generator, clutter: float) -> tuple[Image.Image, str, list[str]]:
    heading = " ".join(sample(rng, _NOUNS, 2)).title()
    vocabulary = sample(rng, _NOUNS, 12)
    words = [pick(rng, vocabulary) for _ in range(_between(14, 190, clutter))]
    return pictures.page(rng, heading, words, clutter), heading, words


def receipt_shop(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for the shop of a receipt; easy, however long it is."""
    picture, shop, _ = _receipt(rng, clutter)
    question = pick(
        rng, ("Which shop issued this receipt?", "What is the name printed at the very top?")
    )
    return Draft(picture, question, shop, distractors(shop, lambda: pick(rng, _SHOPS)))


def receipt_price(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for the price of one item; harder, the more there are."""
    picture, _, items = _receipt(rng, clutter)
    item, price = items[rng.integers(len(items))]
    question = pick(
        rng,
        (
            "What price is printed beside {}?",
            "How much was paid for {}?",
            "Find {} on the receipt. What does it cost?",
        ),
    ).format(item)
    return Draft(picture, question, price)


def receipt_dearest(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for the dearest item, which takes the whole receipt."""
    picture, _, items = _receipt(rng, clutter)
    dearest = max(items, key=lambda item: item[1])[0]
    question = pick(
        rng,
        (
            "Which of all the items is the most expensive?",
            "Compare all prices: which item costs most?",
        ),
    )
    wrong = distractors(dearest, lambda: pick(rng, _GOODS))
    return Draft(picture, question, dearest, wrong)


def receipt_total(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask what everything costs together, which takes the whole receipt."""
    picture, _, items = _receipt(rng, clutter)
    question = pick(
        rng,
        (
            "What is the total of all the prices on this receipt?",
            "Add up every item. What was paid altogether?",
        ),
    )
    return Draft(picture, question, sum(price for _, price in items))


def _receipt(
    rng: np.random.Generator, clutter: float
) -> tuple[Image.Image, str, list[tuple[str, int]]]:
    shop = pick(rng, _SHOPS)
    goods = sample(rng, _GOODS, _between(3, 24, clutter))
    prices = rng.permutation(np.arange(2, 60))[: len(goods)].tolist()
    items = list(zip(goods, prices, strict=True))
    return pictures.receipt(rng, shop, items), shop, items


def sign(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask what a sign says; all the difficulty is in the picture."""
    text = " ".join(sample(rng, _SIGNS, 2))
    question = pick(
        rng,
        (
            "What is written on the sign?",
            "Read the text on the plate in the middle.",
            "What does the large sign say?",
        ),
    )
    wrong = distractors(text, lambda: " ".join(sample(rng, _SIGNS, 2)))
    return Draft(pictures.sign(rng, text, clutter), question, text, wrong)


def chart_title(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for the title of a chart; easy, however many values it has."""
    picture, title, _, _ = _chart(rng, clutter, _FRUIT)
    question = pick(
        rng, ("What is the title of this chart?", "Which title is printed above the chart?")
    )
    return Draft(picture, question, title, distractors(title, lambda: _title(rng)))


def chart_value(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for the value at a label; harder, the more there are."""
    picture, _, labels, values = _chart(rng, clutter, _FRUIT)
    index = rng.integers(len(labels))
    question = pick(
        rng,
        (
            "What value does the chart show for {}?",
            "Read off the number for {}.",
            "How many {} were recorded?",
        ),
    ).format(labels[index])
    return Draft(picture, question, values[index])


def chart_known(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for the value at a label that is only described."""
    label, described = _described(recall)
    bank = [name for name, *_ in (CAPITALS if recall < _COUNTRIES else ELEMENTS)]
    others = [name for name in bank if name != label]
    picture, _, labels, values = _chart(rng, clutter, others, label)
    question = pick(
        rng,
        (
            "What value does the chart show for {}?",
            "Which number belongs to {}?",
            "Read off the figure for {}.",
        ),
    ).format(described)
    return Draft(picture, question, values[labels.index(label)])


_COUNTRIES = 0.4
_SYMBOLS = 0.7
"""Recall below which a country is asked for, and an element by its symbol."""


def _described(recall: float) -> tuple[str, str]:
    if recall < _COUNTRIES:
        country, capital = CAPITALS[int(recall / _COUNTRIES * len(CAPITALS))]
        return country, f"the country whose capital is {capital}"
    if recall < _SYMBOLS:
        share = (recall - _COUNTRIES) / (_SYMBOLS - _COUNTRIES)
        element, symbol, _ = ELEMENTS[int(share * len(ELEMENTS))]
        return element, f"the chemical element with the symbol {symbol}"
    share = (recall - _SYMBOLS) / (1 - _SYMBOLS)
    element, _, number = ELEMENTS[int(share * len(ELEMENTS))]
    return element, rf"the element with atomic number $Z = {number}$"


def chart_total(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for the sum of all values, which takes the whole chart."""
    picture, _, _, values = _chart(rng, clutter, _FRUIT)
    question = pick(
        rng,
        (
            "What is the total of all the values in the chart?",
            "Sum every value shown. What is the result?",
            r"The chart shows values $v_1, \dots, v_n$. What is $\sum_{i=1}^{n} v_i$?",
        ),
    )
    return Draft(picture, question, sum(values))


def chart_largest(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for the label with the largest value, which takes the whole chart."""
    picture, _, labels, values = _chart(rng, clutter, _FRUIT)
    largest = labels[int(np.argmax(values))]
    question = pick(
        rng,
        (
            "Which of all the entries has the largest value?",
            "Compare all values: which entry is the highest?",
        ),
    )
    wrong = distractors(largest, lambda: pick(rng, [*labels, "None of them"]))
    return Draft(picture, question, largest, wrong)


def _title(rng: np.random.Generator) -> str:
    return f"{pick(rng, _SUBJECTS)} in {rng.integers(1960, 2025)}"


def _chart(
    rng: np.random.Generator, clutter: float, names: Sequence[str], *shown: str
) -> tuple[Image.Image, str, list[str], list[int]]:
    title = _title(rng)
    count = _between(3, 16, clutter)
    labels = sample(rng, [*sample(rng, names, count - len(shown)), *shown], count)
    values = rng.permutation(np.arange(4, 97))[:count].tolist()
    draw = pictures.bar_chart if rng.random() < 0.6 else pictures.line_chart
    return draw(rng, title, labels, values), title, labels, values


def map_places(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask how many places there are, which takes the whole map."""
    picture, places, _ = _map(rng, clutter)
    question = pick(
        rng,
        (
            "How many places are marked on the whole map?",
            "Count all red dots on the map. How many are there?",
        ),
    )
    return Draft(picture, question, len(places))


def map_roads(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask how many roads leave a place; harder, the more there are."""
    picture, places, roads = _map(rng, clutter)
    index = int(rng.integers(len(places)))
    question = pick(
        rng,
        (
            "How many roads start at {}?",
            "To how many other places is {} joined directly by a road?",
        ),
    ).format(places[index])
    return Draft(picture, question, sum(index in road for road in roads))


def _map(
    rng: np.random.Generator, clutter: float
) -> tuple[Image.Image, list[str], list[tuple[int, int]]]:
    places = sample(rng, _PLACES, _between(4, 24, clutter))
    across = [(i, i + 1) for i in range(len(places) - 1) if (i + 1) % MAP_COLUMNS]
    down = [(i, i + MAP_COLUMNS) for i in range(len(places) - MAP_COLUMNS)]
    roads = [road for road in across + down if rng.random() < 0.75]
    return pictures.town_map(rng, places, roads), places, roads


_PLURALS = {"car": "cars", "tree": "trees", "person": "people", "ball": "balls"}


def scene_daytime(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask whether it is day or night; easy, however much is going on."""
    picture, day, _ = _scene(rng, clutter)
    question = pick(
        rng, ("What time of day does this picture show?", "At what time was this seen?")
    )
    times = ("daytime", "night")
    return Draft(picture, question, times[not day], [times[day], "dusk", "cannot be told"])


def scene_colour(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask how many things of a kind have a colour; harder, the more there are."""
    picture, _, things = _scene(rng, clutter)
    thing = things[rng.integers(len(things))]
    question = pick(
        rng,
        (
            "How many {colour} {kind} can you see in the street?",
            "Only look at the {kind}: how many of them are {colour}?",
            "I am driving here. How many {colour} {kind} must I watch out for?",
        ),
    ).format(colour=thing.colour, kind=_PLURALS[thing.kind])
    if thing.kind == "person":
        question += " The colour is that of their clothes."
    return Draft(picture, question, things.count(thing))


def scene_count(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask how many things there are, which takes the whole scene."""
    picture, _, things = _scene(rng, clutter)
    question = pick(
        rng,
        (
            "How many cars, trees, people and balls are there altogether?",
            "Count every car, tree, person and ball in the picture. How many are there in all?",
        ),
    )
    return Draft(picture, question, len(things))


def _scene(rng: np.random.Generator, clutter: float) -> tuple[Image.Image, bool, list[Thing]]:
    day = bool(rng.random() < 0.6)
    colours = list(COLOURS)
    things = [Thing(pick(rng, THINGS), pick(rng, colours)) for _ in range(_between(2, 26, clutter))]
    return pictures.scene(rng, day, things), day, things


def polygon_side(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for the length of one side."""
    picture, sides, unit = _polygon(rng, clutter)
    index = int(rng.integers(len(sides)))
    name = CORNERS[index] + CORNERS[(index + 1) % len(sides)]
    question = pick(
        rng,
        (
            "In the figure, how long is side {} (in {})?",
            r"What is the length of $\overline{{{}}}$ in {}?",
            "Read the length of the edge {} from the figure, in {}.",
        ),
    ).format(name, unit)
    return Draft(picture, question, sides[index])


def polygon_perimeter(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for the perimeter, which takes all sides."""
    picture, sides, unit = _polygon(rng, clutter)
    corners = CORNERS[: len(sides)]
    question = pick(
        rng,
        (
            "What is the perimeter of the whole polygon {} in {}?",
            "An ant walks once around {}, along all of its sides. How far does it go, in {}?",
            r"Let $P$ be the perimeter of ${}$, all sides added. Find $P$ in $\mathrm{{{}}}$.",
        ),
    ).format(corners, unit)
    return Draft(picture, question, sum(sides))


def _polygon(rng: np.random.Generator, clutter: float) -> tuple[Image.Image, list[int], str]:
    sides = rng.integers(3, 40, _between(3, 12, clutter)).tolist()
    unit = pick(rng, _UNITS)
    return pictures.polygon(rng, sides, unit, auxiliary=round(9 * clutter)), sides, unit


def grid_shaded(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask how many cells are shaded, which takes the whole grid."""
    size = _between(3, 14, clutter)
    shaded = rng.random((size, size)) < rng.uniform(0.25, 0.7)
    question = pick(
        rng,
        (
            "How many small squares of the grid are shaded altogether?",
            "Count all coloured cells. How many are there?",
            r"Let $s$ be the number of all shaded squares. What is $s$?",
        ),
    )
    return Draft(pictures.grid(rng, shaded), question, int(shaded.sum()))


def plot_value(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask for f at a place; harder among other curves."""
    picture, curve = _plot(rng, clutter)
    x = int(rng.integers(11))
    question = pick(
        rng,
        (
            "The graph of $f$ is drawn in colour. What is $f({})$?",
            "Read off $y$ at $x = {}$ on the coloured curve.",
            "f is the thick curve. Find f({}).",
        ),
    ).format(x)
    return Draft(picture, question, int(curve[x]))


def plot_above(rng: np.random.Generator, clutter: float, recall: float) -> Draft:
    """Ask where f is at least a bound, which takes the whole graph."""
    picture, curve = _plot(rng, clutter)
    bound = int(rng.integers(2, 8))
    question = pick(
        rng,
        (
            r"For how many of all integers $x$ with $0 \le x \le 10$ is $f(x) \ge {}$?",
            "Follow the whole thick curve. At how many of the integers 0, 1, …, 10 is f ≥ {}?",
        ),
    ).format(bound)
    return Draft(picture, question, int((curve >= bound).sum()))


def _plot(rng: np.random.Generator, clutter: float) -> tuple[Image.Image, np.ndarray]:
    curve, *others = rng.integers(0, 11, (1 + round(9 * clutter), 11))
    return pictures.plot(rng, curve, others), curve


TASKS = {
    "page_heading": Task(page_heading, span=0.0),
    "page_word_count": Task(page_word_count, span=1.0),
    "receipt_shop": Task(receipt_shop, span=0.0),
    "receipt_price": Task(receipt_price, span=0.5),
    "receipt_dearest": Task(receipt_dearest, span=1.0),
    "receipt_total": Task(receipt_total, span=1.0, reasons=True),
    "sign": Task(sign, span=1.0),
    "chart_title": Task(chart_title, span=0.0),
    "chart_value": Task(chart_value, span=0.5, reasons=True),
    "chart_known": Task(chart_known, span=0.5, recalls=True),
    "chart_total": Task(chart_total, span=1.0, reasons=True),
    "chart_largest": Task(chart_largest, span=1.0),
    "map_places": Task(map_places, span=1.0),
    "map_roads": Task(map_roads, span=0.5),
    "scene_daytime": Task(scene_daytime, span=0.0),
    "scene_colour": Task(scene_colour, span=0.5),
    "scene_count": Task(scene_count, span=1.0, reasons=True),
    "polygon_side": Task(polygon_side, span=0.3, reasons=True),
    "polygon_perimeter": Task(polygon_perimeter, span=1.0, reasons=True),
    "grid_shaded": Task(grid_shaded, span=1.0, reasons=True),
    "plot_value": Task(plot_value, span=0.5, reasons=True),
    "plot_above": Task(plot_above, span=1.0, reasons=True),
}


def ask(
    rng: np.random.Generator,
    task: Task,
    *,
    steps: int,
    recall: float,
    clutter: float,
    choice: bool,
) -> Query:
    """Draw a picture and put a question of the given task and difficulty about it.

    Parameters
    ----------
    rng
        Decides everything that the other arguments leave open.
    task
        One of ``TASKS``.
    steps
        Arithmetic steps after the reading, at most ``STEPS``.
    recall
        Rarity of the fact that is needed, in [0, 1).
    clutter
        How much the picture holds, in [0, 1].
    choice
        Whether to offer options; the answer is then a letter.
    """
    picture, question, answer, wrong = task.write(rng, clutter, recall)
    if isinstance(answer, int):
        chain, answer = chained(rng, answer, steps)
        question += chain
        wrong = near_misses(rng, answer)
    answer = str(answer)
    if not choice:
        return Query(picture, question, answer, list(wrong))
    return Query(picture, *with_options(rng, question, answer, wrong))


def near_misses(rng: np.random.Generator, answer: int) -> list[str]:
    """Draw wrong numbers close to the answer."""
    near = answer + rng.permutation([-10, -3, -2, -1, 1, 2, 5, 10])
    # A negative option beside a count would give itself away.
    wrong = [str(number) for number in near.tolist() if number >= min(answer, 0)]
    return wrong[: OPTIONS - 1]


def with_options(
    rng: np.random.Generator, question: str, answer: str, wrong: Sequence[str]
) -> tuple[str, str, list[str]]:
    """Return the question with its options, the right letter and the wrong letters."""
    letters = "ABCDEFGH"[:OPTIONS]
    offered = sample(rng, [answer, *wrong], OPTIONS)
    options = [f"{letter}. {text}" for letter, text in zip(letters, offered, strict=True)]
    question += "\n" + "\n".join(options) + "\n" + "Answer with the letter of the right option."
    right = letters[offered.index(answer)]
    return question, right, [letter for letter in letters if letter != right]


_OPERATIONS: tuple[tuple[str, str, Callable[[int, int], int]], ...] = (
    ("add {}", "{} + {}", lambda value, k: value + k),
    ("subtract {}", "{} - {}", lambda value, k: value - k),
    ("multiply the result by {}", r"{} \cdot {}", lambda value, k: value * k),
    ("take the remainder after dividing by {}", r"{} \bmod {}", lambda value, k: value % k),
)


def chained(rng: np.random.Generator, value: int, steps: int) -> tuple[str, int]:
    """Ask for ``steps`` arithmetic steps on ``value``; as prose, a list or a formula."""
    if not steps:
        return "", value
    words = []
    formula = "n"
    for step in range(steps):
        word, symbol, operate = _OPERATIONS[rng.integers(len(_OPERATIONS))]
        k = int(rng.integers(2, 13))
        value = operate(value, k)
        words.append(word.format(k))
        formula = symbol.format(f"({formula})" if step else formula, k)
    style = rng.integers(3)
    if style == 0:
        prose = " Take this number, " + ", then ".join(words)
        return prose + ". What do you get in the end?", value
    if style == 1:
        listed = "\n".join(f"({number}) {word}" for number, word in enumerate(words, 1))
        return f"\nStart from this number → n, and then:\n{listed}\nGive the final result.", value
    return f" Call this number $n$ and compute\n\\[ {formula} \\]", value
