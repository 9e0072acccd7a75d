"""Mutate small inputs at random, run what a run does first, and compare with an oracle.

``python tests/faults/mutations.py --count 300 --seed 0`` prints how many inputs were
tried, handled, refused and failed. An input is handled if every number that the mutation
left alone is what it was and what is missing is counted; refused if one line names the
file or the key. Anything else is a failure, printed with the seed that draws it again.
"""

import argparse
import codecs
import copy
import json
import math
import random
import re
import reprlib
import resource
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import inputs
import yaml
from inputs import DATASETS, MODELS, SAMPLES, WRITERS, Numbers, Pair, Table
from layouts import LAYOUTS, written

LONGEST_SECONDS = 20
MOST_BYTES = 2**30
MISSING = {"", "nan", "none", "null"}
WORDS = {"true": 1.0, "yes": 1.0, "right": 1.0, "correct": 1.0} | {
    "false": 0.0,
    "no": 0.0,
    "wrong": 0.0,
    "incorrect": 0.0,
}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")
HOSTILE = (
    *(math.nan, math.inf, -math.inf, -1, 2, 0, 1, True, 10**400, 1e308, 5e-324, -0.0, None),
    *("", " ", "NaN", "nan", "inf", "-1", "1e309", "1e-400", "1_0", "0x1", "1,5", "50%", "$1"),
    *("=1+1", "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "\x00", "\x1b[31m", "\r\n"),
    *("'", '"', '""', "\t", "，", "１", "٣", "½", "א", "日本", "\ufeff", "\u202e", "\U0001f600"),
    *("N/A", "None", "null", "true", "maybe", "A" * 300, "x" * 70_000, "9" * 400),
    *("../../etc/passwd", "/etc/passwd", "images", "images/1.png", "a\x00.png", "x/" * 3000),
    *("full", "macro", ".", "..", "a/b", "CON", "%2E", "-", "{}", "{{7*7}}", "%s%n"),
    *([], [1], {"a": 1}, {"a": {"b": [None]}}),
)


class Refused(Exception):
    """The oracle's word for what has to be refused."""


@dataclass
class Expected:
    """What a handled input must hold.

    Attributes
    ----------
    numbers
        Of each pair that the input has; None for what has to be refused.
    touched
        Pairs of which nothing more is known than the range of their numbers.
    present
        Whether a pair that is not touched must be there, and none besides.
    tolerance
        Relative, for numbers of few bits.
    handled
        Whether a refusal is a failure.
    """

    numbers: Numbers | None
    touched: set[Pair] = field(default_factory=set)
    present: bool = True
    tolerance: float = 1e-9
    handled: bool = False


class Case(NamedTuple):
    """A mutated input: its seed, what it is, and how to write it into a folder."""

    seed: int
    what: str
    write: Callable[[Path], Expected]


class Outcome(NamedTuple):
    """What became of a case: ``handled``, ``refused`` or ``failed``, and why."""

    seed: int
    kind: str
    what: str
    message: str


# -- The oracle ---------------------------------------------------------------------------


def number(cell: Any, utility: bool) -> float | None:
    """Read a cell as a person would; None where it is missing."""
    text = "" if cell is None else str(cell).strip().lower()
    if text in MISSING:
        return None
    if utility and text in WORDS:
        return WORDS[text]
    if not NUMBER.fullmatch(text):
        raise Refused(text)
    value = float(text)
    if not 0 <= value <= (1 if utility else sys.float_info.max):
        raise Refused(text)
    return value


def _name(cell: Any) -> str:
    return str(cell).encode(errors="replace").decode()


def long_numbers(table: Table) -> Numbers:
    """Read one row per pair."""
    found: Numbers = {}
    for record in table.records():
        if not {"sample_id", "model", "utility"} <= set(record):
            raise Refused("columns")
        pair = (_name(record["sample_id"]), _name(record["model"]))
        if pair in found:
            raise Refused("twice")
        counts = [
            number(record.get(name), False) for name in ("prompt_tokens", "completion_tokens")
        ]
        paid = priced(pair[1], *counts) if "cost" not in record else record["cost"]
        found[pair] = (number(record["utility"], True), number(paid, False))
    return found


def wide_numbers(table: Table) -> Numbers:
    """Read one row per sample."""
    found: Numbers = {}
    key = "sample_id" if "sample_id" in table.columns else "dataset_idx"
    models = [name.removesuffix("_correct") for name in table.columns if name.endswith("_correct")]
    for record in table.records():
        for model in models:
            if (pair := (_name(record.get(key)), model)) in found:
                raise Refused("twice")
            found[pair] = (
                number(record[f"{model}_correct"], True),
                number(record.get(f"{model}_cost"), False),
            )
    return found


def log_numbers(files: dict[str, Table]) -> Numbers:
    """Read the logs of lmms-eval."""
    return {
        (f"{path.split('_samples_')[1].removesuffix('.jsonl')}_{record['doc_id']}", model): (
            float(record["exact_match"]),
            priced(model, *record["token_counts"][0].values()),
        )
        for path, table in files.items()
        for model in [path.split("/")[1]]
        for record in table.records()
    }


def judged_numbers(files: dict[str, Table]) -> Numbers:
    """Read judged files; four bytes are a token."""
    return {
        (f"{dataset}_{record['index']}", model): (
            float(record["hit"]),
            priced(
                model, *(-(-len(record[name].encode()) // 4) for name in ("question", "prediction"))
            ),
        )
        for path, table in files.items()
        for _, model, name in [path.split("/")]
        for dataset in [name.removeprefix(f"{model}_")[0]]
        for record in table.records()
    }


def priced(model: str, prompt: float | None, completion: float | None) -> float | None:
    if prompt is None or completion is None or model not in inputs.PRICES:
        return None
    rates = inputs.PRICES[model]
    return (prompt * rates[0] + completion * rates[1]) / 1e6


def check_numbers(expected: Expected, table: Any, said: list[str]) -> None:
    """Raise AssertionError where a table is not what was expected."""
    assert expected.numbers is not None, "taken, but it has to be refused"
    ids, models = table.samples["sample_id"].tolist(), table.model_names
    found = {
        (name, model): (float(table.utility[i, j]), float(table.cost[i, j]))
        for i, name in enumerate(ids)
        for j, model in enumerate(models)
    }
    for pair, (utility, cost) in found.items():
        missing = math.isnan(utility) and math.isnan(cost)
        sound = 0 <= utility <= 1 and 0 <= cost < math.inf
        assert missing or sound, f"{pair} has {utility}, {cost}"
        if pair in expected.touched:
            continue
        if pair not in expected.numbers:
            assert missing or not expected.present, f"{pair} is made up"
            continue
        wanted = expected.numbers[pair]
        wanted = (math.nan, math.nan) if None in wanted else wanted
        near = all(
            math.isclose(one, other, rel_tol=expected.tolerance, abs_tol=1e-300)
            for one, other in zip(wanted, (utility, cost), strict=True)
        )
        both_missing = missing and math.isnan(wanted[0])
        assert near or both_missing or (missing and not expected.present), (
            f"{pair} has {utility}, {cost}, not {wanted}"
        )
    if expected.present:
        told = " ".join(said)
        for pair in expected.numbers.keys() - expected.touched - found.keys():
            assert pair[1] in told, f"{pair} has vanished, and no notice tells of {pair[1]}"


# -- What a run does first ----------------------------------------------------------------


def first_steps(folder: Path, config_file: Path) -> tuple[Any, list[str]]:
    """Take the steps of a run up to the data report; return the outcomes and all that was said.

    They write below the folder.
    """
    import numpy as np

    from mmroute.catalogue import build
    from mmroute.checks import check
    from mmroute.cli import _read
    from mmroute.errors import InputError
    from mmroute.features.embeddings import embed
    from mmroute.outcomes.benchmark import OutcomeTable
    from mmroute.outcomes.datasets import read_samples, write_datasets
    from mmroute.outcomes.ingestion import fetch, ingest
    from mmroute.outcomes.pool import assemble
    from mmroute.outcomes.splits import freeze
    from mmroute.report.data_report import dataset_report, model_report, notices
    from mmroute.storage import read_json

    config = _read(config_file)
    finite = [config.min_coverage, config.split.train, *config.decision.what_if_prices.values()]
    finite += [amount for amount in config.decision.budgets if isinstance(amount, float)]
    assert all(map(math.isfinite, finite)), "the config takes what is no finite number"
    sources = {
        label: build("sources", part.name, part.parameters)
        for label, part in config.source.labelled.items()
    }
    for source in sources.values():
        source.fingerprint()
    prices = config.source.prices and Path(config.source.prices)
    if prices and not prices.is_file():
        raise InputError(f"{prices}: no such file")
    root = fetch(list(sources.values()), folder / "source")
    ingested = ingest(sources, root)
    write_datasets(ingested.table, folder / "data", 10_000)
    assemble(folder / "data", prices, config.pool, config.min_coverage, folder / "outcomes")
    table = OutcomeTable.read(folder / "outcomes")
    samples = read_samples(folder / "data")
    splits = freeze(samples, config.split.train, config.split.salts)
    present = {}
    for modality in ("text", "image"):
        own = embed(build("encoders", "builtin", {}), modality, samples, root, 1)
        norms = np.linalg.norm(own.vectors, axis=1)
        assert np.allclose(norms[own.present], 1, atol=1e-4), f"{modality} vectors are not unit"
        assert not norms[~own.present].any(), f"{modality} vectors of nothing"
        present[modality] = own.present
    datasets = dataset_report(table, splits, present)
    model_report(table, 10, 0)
    left_out = read_json(folder / "outcomes/pool.json")["left_out"]
    said = [*ingested.notices, *left_out, *notices(table, datasets, left_out, False, False)]
    observed = np.isfinite(table.utility)
    told = float(datasets["coverage"].iloc[-1])
    assert math.isclose(told, observed.mean()), "the report counts another coverage"
    broken = int((samples["image"].notna() & ~present["image"]).sum())
    assert not broken or any(f"{broken} images" in line for line in said), "images not counted"
    assert check(config, folder / "source").text()
    return table, said


def examine(case: Case, folder: Path) -> Outcome:
    """Run one case in an empty folder."""
    from mmroute.errors import InputError

    kind, message = "handled", ""
    expected = Expected(None)
    try:
        expected = case.write(folder)
        table, said = first_steps(folder, folder / "config.yaml")
        check_numbers(expected, table, said)
    except InputError as error:
        kind, message = "refused", str(error)
        named = re.search(r"[./]\w+|config|source|data set|sample", message)
        if "\n" in message or "\r" in message or len(message) > 4000 or not named:
            kind, message = "failed", f"not one clear line: {message[:500]!r}"
        elif expected.handled:
            kind, message = "failed", f"refused, but there is nothing wrong: {message}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in place if "mmroute" in frame.filename] or place
        kind = "failed"
        message = f"{type(error).__name__}: {str(error)[:300]!r} at " + " < ".join(
            f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(own[-3:])
        )
    return Outcome(case.seed, kind, case.what, message)


# -- Mutations of tables ------------------------------------------------------------------


def change_table(draw: random.Random, table: Table) -> str:
    """Change a table in place; say how."""
    rows, columns = table.rows, table.columns
    column = draw.randrange(len(columns))
    name = columns[column]
    row = draw.randrange(len(rows))
    match draw.choice(
        [
            "cell",
            "cell",
            "cell",
            "cell",
            "cells",
            "delete",
            "double",
            "shuffle",
            "move",
            "rename",
            "copy",
            "drop",
        ]
    ):
        case "cell":
            rows[row][column] = draw.choice(HOSTILE)
            return f"{name} of row {row} is {rows[row][column]!r:.30}"
        case "cells":
            cell = draw.choice(HOSTILE)
            for own in rows:
                own[column] = cell
            return f"{name} is {cell!r:.30}"
        case "delete":
            del rows[row : row + draw.choice((1, 5, 1000))]
            return f"rows deleted from {row} on"
        case "double":
            rows.insert(draw.randrange(len(rows)), list(rows[row]))
            return f"row {row} doubled"
        case "shuffle":
            draw.shuffle(rows)
            return "rows shuffled"
        case "move":
            order = draw.sample(range(len(columns)), len(columns))
            columns[:] = [columns[index] for index in order]
            rows[:] = [[own[index] for index in order] for own in rows]
            return "columns moved"
        case "rename":
            columns[column] = draw.choice(
                (name.upper(), f" {name}", f"{name} ", "", "x", "\x1b", *columns, name + "\ufeff")
            )
            return f"{name} called {columns[column]!r}"
        case "copy":
            other = draw.randrange(len(columns))
            for own in rows:
                own[column], own[other] = own[other], own[column]
            return f"cells of {name} and {columns[other]} swapped"
        case _:
            del columns[column]
            for own in rows:
                del own[column]
            return f"{name} dropped"


def table_numbers(read: Callable[[Table], Numbers], table: Table, suffix: str) -> Expected:
    """Read a changed table by the oracle, as its format holds it."""
    try:
        if len(set(table.columns)) < len(table.columns):
            raise Refused("columns")
        own = Table(table.columns, table.rows)
        if suffix == ".xlsx":
            # Nobody has computed these formulas.
            own.rows = [
                ["" if isinstance(cell, str) and cell.startswith("=") else cell for cell in row]
                for row in own.rows
            ]
        return Expected(read(own))
    except Refused:
        return Expected(None)
    except (KeyError, TypeError, AttributeError):
        return Expected({}, present=False)


ARROW_TYPES = [
    "float32",
    "float16",
    "int8",
    "string",
    "large_string",
    "binary",
    "decimal",
    "dictionary",
    "bool_",
    "list",
    "duration",
    "timestamp",
    "null",
    "string_view",
]


def retype(draw: random.Random, arrow: Any) -> tuple[Any, str]:
    """Cast a column to another type, as far as it goes."""
    import pyarrow as pa

    index = draw.randrange(arrow.num_columns)
    name, kind = arrow.column_names[index], draw.choice(ARROW_TYPES)
    column = arrow.column(index).combine_chunks()
    try:
        match kind:
            case "dictionary":
                changed = column.dictionary_encode()
            case "list":
                changed = pa.array([[cell] for cell in column.to_pylist()])
            case "decimal":
                changed = column.cast(pa.decimal128(20, 10))
            case "timestamp":
                changed = column.cast(pa.int64()).cast(pa.timestamp("us"))
            case "duration":
                changed = column.cast(pa.int64()).cast(pa.duration("us"))
            case "null":
                changed = pa.nulls(len(column))
            case _:
                changed = column.cast(getattr(pa, kind)())
    except pa.ArrowException:
        changed = column
    return arrow.set_column(index, name, changed), f"{name} as {kind}"


# -- Mutations of bytes -------------------------------------------------------------------

SAME_NUMBERS: dict[str, Callable[[str], bytes]] = {
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "Latin-1": lambda text: text.encode("latin-1", "replace"),
    "Shift-JIS": lambda text: text.encode("shift-jis", "replace"),
    "a BOM": lambda text: codecs.BOM_UTF8 + text.encode(),
    "two BOMs": lambda text: 2 * codecs.BOM_UTF8 + text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "empty lines": lambda text: text.encode() + b"\n\n\n",
}
HARMLESS = {"a BOM", "CRLF"}
BYTES = (b"\0", b'"', b"\xff", b"\n", b"\r", b",", b"\t", b"[" * 3000, b"{", b"\xed\xa0\x80", b"9")


def change_bytes(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    """Damage some bytes."""
    start = draw.randrange(len(content))
    end = min(len(content), start + draw.choice((1, 1, 10, 200)))
    match draw.choice(
        ["flip", "flip", "flips", "cut", "delete", "double", "insert", "line", "swap", "replace"]
    ):
        case "flip":
            own = bytearray(content)
            own[start] ^= 1 << draw.randrange(8)
            return bytes(own), f"bit flipped at {start}"
        case "flips":
            own = bytearray(content)
            for _ in range(draw.choice((5, 50))):
                own[draw.randrange(len(own))] = draw.randrange(256)
            return bytes(own), "bytes overwritten"
        case "cut":
            return content[:start], f"cut after {start} bytes"
        case "delete":
            return content[:start] + content[end:], f"bytes {start} to {end} deleted"
        case "double":
            return content[:end] + content[start:], f"bytes {start} to {end} doubled"
        case "insert":
            more = draw.choice(BYTES)
            return content[:start] + more + content[start:], f"{more[:8]!r} inserted at {start}"
        case "line" | "swap" as how:
            lines = content.splitlines(keepends=True)
            first, second = (draw.randrange(len(lines)) for _ in range(2))
            if how == "swap":
                lines[first], lines[second] = lines[second], lines[first]
                return b"".join(lines), f"lines {first} and {second} swapped"
            lines.insert(first, lines[second])
            return b"".join(lines), f"line {second} doubled"
        case _:
            other = draw.choice(
                (b"", b"\n", draw.randbytes(500), b"\x89PNG\r\n\x1a\n" + b"\0" * 90)
            )
            return other, f"replaced by {len(other)} other bytes"


def intact(table: Table, suffix: str, content: bytes) -> Callable[[Table], bool]:
    """Return what tells whether a part of a text file still stands there as a whole."""
    write = WRITERS[suffix]
    header = len(write(Table(table.columns, [])))
    return lambda part: write(part)[0 if not part.rows else header :] in content


def damaged(
    draw: random.Random, table: Table, suffix: str, read: Callable[[Table], Numbers]
) -> tuple[bytes, str, Expected]:
    """Damage a table's file; what is known is what still stands there."""
    content = WRITERS[suffix](table)
    numbers = read(table)
    text = suffix in (".csv", ".tsv", ".jsonl")
    if text and draw.random() < 0.3:
        how = draw.choice(sorted(SAME_NUMBERS))
        harmless = how in HARMLESS
        return SAME_NUMBERS[how](content.decode()), how, Expected(numbers, handled=harmless)
    changed, how = change_bytes(draw, content)
    if not text:
        # A checksum covers what the others hold; a footer may name it otherwise.
        touched = set(numbers) if suffix in (".feather", ".json") else set()
        return changed, how, Expected(numbers, touched, present=False)
    whole = intact(table, suffix, changed)
    if suffix != ".jsonl" and not whole(Table(table.columns, [])):
        return changed, how, Expected(numbers, set(numbers), present=False)
    touched = {
        pair
        for row in table.rows
        for part in [Table(table.columns, [row])]
        if not whole(part)
        for pair in read(part)
    }
    # A name that was changed makes another pair.
    made_up = not touched
    return changed, how, Expected(numbers, touched, present=made_up)


# -- Kinds of inputs ----------------------------------------------------------------------


def draw_table(draw: random.Random) -> tuple[str, Callable[[Path], Expected]]:
    """Draw a table of one's own: long or wide, with costs or token counts, in any format."""
    shape = draw.choice(("long", "wide", "tokens"))
    make, read = {
        "long": (inputs.long_table, long_numbers),
        "wide": (inputs.wide_table, wide_numbers),
        "tokens": (inputs.token_table, long_numbers),
    }[shape]
    suffix = draw.choice(sorted(WRITERS))
    table = make()
    how = draw.random()
    if suffix in (".parquet", ".feather") and how < 0.25:
        import io

        import pyarrow.feather
        import pyarrow.parquet as pq

        arrow, what = retype(draw, table.arrow())
        stream = io.BytesIO()
        if suffix == ".parquet":
            try:
                pq.write_table(arrow, stream)
            except Exception:
                stream.write(table.parquet())
        else:
            pyarrow.feather.write_feather(arrow, stream)
        content = stream.getvalue()
        numbers = read(table)
        kind = what.rpartition(" ")[2]
        vague = kind in ("int8", "bool_", "timestamp", "duration", "null")
        expected = Expected(
            numbers, set(numbers) if vague else set(), present=False, tolerance=1e-2
        )
    elif how < 0.6:
        what = change_table(draw, table)
        content = WRITERS[suffix](table)
        expected = table_numbers(read, table, suffix)
        if what in ("rows shuffled", "columns moved"):
            expected.handled = True
    else:
        content, what, expected = damaged(draw, table, suffix, read)

    def write(folder: Path) -> Expected:
        path = folder / f"table{suffix}"
        inputs.draw_images(folder / "images")
        path.write_bytes(content)
        source = {"kind": "table", "path": str(path)}
        source |= {"shape": "wide"} if shape == "wide" else {}
        if shape == "tokens":
            (folder / "prices.csv").write_bytes(inputs.price_table().text())
            source["prices"] = str(folder / "prices.csv")
        inputs.write_config(folder / "config.yaml", source)
        return expected

    return f"{shape}{suffix}: {what}", write


def draw_release(draw: random.Random) -> tuple[str, Callable[[Path], Expected]]:
    """Draw a release of MMR-Bench."""
    table = inputs.wide_table("dataset_idx", "img_path")
    if draw.random() < 0.5:
        what = change_table(draw, table)
        content, expected = table.text(), table_numbers(wide_numbers, table, ".csv")
    else:
        content, what, expected = damaged(draw, table, ".csv", wide_numbers)

    def write(folder: Path) -> Expected:
        root = folder / "release"
        inputs.draw_images(root / "images")
        (root / "MMR-Bench.csv").write_bytes(content)
        source = {"kind": "mmr_release", "path": str(root)}
        inputs.write_config(folder / "config.yaml", source)
        return expected

    return f"release: {what}", write


def draw_logs(draw: random.Random) -> tuple[str, Callable[[Path], Expected]]:
    """Draw a folder of lmms-eval's logs, or a work directory of VLMEvalKit."""
    of_logs = draw.random() < 0.6
    files = inputs.logs() if of_logs else inputs.judged()
    numbers = (log_numbers if of_logs else judged_numbers)(files)
    path = draw.choice(sorted(files))
    model = path.split("/")[1]
    dataset = next(name for name in DATASETS if f"_{name}" in Path(path).name.replace(model, ""))
    own = {pair for pair in numbers if pair[1] == model and pair[0].startswith(dataset)}
    suffix = Path(path).suffix
    images = inputs.image_table()
    contents = {name: WRITERS[suffix](table) for name, table in files.items()}
    kind = draw.choice(("cell", "bytes", "bytes", "images" if not of_logs else "bytes"))
    if kind == "cell":
        what = change_table(draw, files[path])
        contents[path] = WRITERS[suffix](files[path])
        # A sample may get another name by it, and a judged prompt its length from another model.
        touched = own if of_logs else {pair for pair in numbers if pair[0].startswith(dataset)}
        expected = Expected(numbers, touched, present=False)
    elif kind == "images":
        images, what = change_bytes(draw, images)
        expected = Expected(numbers)
    else:
        contents[path], what = change_bytes(draw, contents[path])
        expected = Expected(numbers, own if of_logs else set(), present=False)

    def write(folder: Path) -> Expected:
        for name, content in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "prices.csv").write_bytes(inputs.price_table().text())
        source = {"kind": "lmms_eval", "path": str(folder / "logs")}
        if not of_logs:
            source = {"kind": "vlmevalkit", "path": str(folder / "work")}
            (folder / "work/LMUData").mkdir()
            (folder / "work/LMUData/A.tsv").write_bytes(images)
        inputs.write_config(folder / "config.yaml", source | {"prices": str(folder / "prices.csv")})
        return expected

    return f"{'lmms-eval' if of_logs else 'VLMEvalKit'} {kind} {path}: {what}", write


def draw_layout(draw: random.Random) -> tuple[str, Callable[[Path], Expected]]:
    """Draw a release or an application's logs, with one place of one file changed."""
    name = draw.choice(sorted(LAYOUTS))
    layout = LAYOUTS[name]()
    path = draw.choice(sorted(layout.files))
    content = layout.files[path]
    if isinstance(content, bytes) or draw.random() < 0.4:
        layout.files[path], what = change_bytes(draw, written(path, content))
    elif isinstance(content, Table):
        what = change_table(draw, content)
    else:
        what = change_json(draw, content)

    def write(folder: Path) -> Expected:
        layout.write(folder)
        inputs.write_config(folder / "config.yaml", _below(folder, layout.source))
        return Expected(layout.numbers, layout.pairs[path], present=False)

    return f"{name} {path}: {what}", write


def change_json(draw: random.Random, content: Any) -> str:
    """Change a place of nested lists and objects; say how."""
    holder, key = draw.choice(list(_places(content)))
    match draw.choice(("value", "value", "value", "wrap", "delete", "double", "swap")):
        case "wrap":
            holder[key] = draw.choice(([holder[key]], {"x": holder[key]}))
        case "delete":
            del holder[key]
            return f"{key!r:.30} deleted"
        case "double" if isinstance(holder, list):
            holder.insert(draw.randrange(len(holder)), holder[key])
            return f"{key} doubled"
        case "swap":
            other, place = draw.choice(list(_places(content)))
            holder[key] = copy.deepcopy(other[place])
        case _:
            holder[key] = draw.choice(HOSTILE)
    return f"{key!r:.30} is {reprlib.repr(holder[key])}"


def _below(folder: Path, source: dict[str, Any]) -> dict[str, Any]:
    places = ("path", "prices", "outcomes")
    return source | {key: str(folder / source[key]) for key in places if key in source}


def draw_image(draw: random.Random) -> tuple[str, Callable[[Path], Expected]]:
    """Draw a damaged image."""
    number = draw.choice([i for i in range(len(SAMPLES)) if inputs.image(i)])
    kind = draw.choice(
        [
            "PNG",
            "JPEG",
            "GIF",
            "BMP",
            "TIFF",
            "WEBP",
            "PPM",
            "ICO",
            "huge",
            "folder",
            "svg",
            "missing",
        ]
    )
    damage = random.Random(draw.random())

    def write(folder: Path) -> Expected:
        import io
        import struct
        import zlib

        table = inputs.long_table()
        inputs.draw_images(folder / "images")
        path = folder / f"images/{number}.png"
        match kind:
            case "huge":
                head = struct.pack(
                    ">IIBBBBB", *damage.choices((0, 1, 2**31 - 1, 60_000), k=2), 8, 2, 0, 0, 0
                )
                path.write_bytes(
                    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
                    + head
                    + struct.pack(">I", zlib.crc32(b"IHDR" + head))
                )
            case "folder":
                path.unlink()
                path.mkdir()
            case "svg":
                path.write_text("<svg xmlns='http://www.w3.org/2000/svg' width='9e9'/>")
            case "missing":
                path.unlink()
            case _:
                stream = io.BytesIO()
                inputs.picture(number).save(stream, kind)
                path.write_bytes(change_bytes(damage, stream.getvalue())[0])
        (folder / "table.csv").write_bytes(table.text())
        inputs.write_config(
            folder / "config.yaml", {"kind": "table", "path": str(folder / "table.csv")}
        )
        return Expected(long_numbers(table), handled=True)

    return f"image {number}: {kind}", write


def draw_prices(draw: random.Random) -> tuple[str, Callable[[Path], Expected]]:
    """Draw a damaged price table."""
    table, prices = inputs.token_table(), inputs.price_table()
    numbers = long_numbers(table)
    if draw.random() < 0.6:
        what = change_table(draw, prices)
        content = prices.text()
        expected = _repriced(prices, table)
    elif draw.random() < 0.3:
        what = draw.choice(sorted(SAME_NUMBERS))
        content = SAME_NUMBERS[what](prices.text().decode())
        expected = Expected(numbers, handled=what in HARMLESS)
    else:
        content, what = change_bytes(draw, prices.text())
        whole = intact(prices, ".csv", content)
        models = {row[0] for row in prices.rows if not whole(Table(prices.columns, [row]))}
        models = models if whole(Table(prices.columns, [])) else set(MODELS)
        expected = Expected(numbers, {pair for pair in numbers if pair[1] in models}, present=False)

    def write(folder: Path) -> Expected:
        (folder / "table.csv").write_bytes(table.text())
        (folder / "prices.csv").write_bytes(content)
        places = {"path": str(folder / "table.csv"), "prices": str(folder / "prices.csv")}
        inputs.write_config(folder / "config.yaml", {"kind": "table", **places})
        return expected

    return f"prices: {what}", write


def _repriced(prices: Table, table: Table) -> Expected:
    """Price the token counts by a changed price table."""
    if len(set(prices.columns)) < len(prices.columns):
        return Expected(None)
    try:
        rates = {}
        for record in prices.records():
            own = [number(record[name], False) for name in inputs.PRICE_HEADER[1:]]
            name = str(record["model"])
            if name in rates:
                raise Refused("twice")
            rates[name] = own
        found = {}
        for record in table.records():
            first, second = rates[record["model"]]
            if first is None or second is None:
                raise Refused("no price")
            paid = (record["prompt_tokens"] * first + record["completion_tokens"] * second) / 1e6
            found[record["sample_id"], record["model"]] = (record["utility"], paid)
    except (Refused, KeyError):
        return Expected(None)
    return Expected(found)


VALUES = (
    *(None, True, False, 0, 1, -1, 1.0, 1e300, math.nan, math.inf, "", "x", "1", "0.5", "nan"),
    *("50%", "../x", "\x00", "é", "\x1b[31m", "a\nb", "y" * 5000, [], [1], ["x"], [[]], [None]),
    *({}, {"x": 1}, {1: 2}, {None: None}, {"knn": 1}, [True], 10**30, ["x", "x"], {"kind": []}),
    *({"kind": "table"}, {"join": []}, {"join": [{}]}, {"class": "os:path"}, {"class": ["x"]}),
)
BOMB = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x]"]
    + [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
)
SNIPPETS = (
    "\t",
    "!!python/object/apply:os.system ['true']",
    "&x [*x]",
    "{" * 2000,
    "[" * 5000,
    "- x",
    "? [a]",
    "<<: {seed: 1}",
    "2001-01-01",
    "!!binary zzzz",
    "!!set {a}",
    "0o17",
    "1_000",
    "%YAML 9.9",
    "---",
    "\x00",
    "\u2028",
    "pool: *i",
    "seed: 4",
)


def draw_config(draw: random.Random) -> tuple[str, Callable[[Path], Expected]]:
    """Draw a damaged config."""
    kind = draw.choice(("value", "value", "value", "key", "text", "bytes", "bomb"))
    change = random.Random(draw.random())

    def write(folder: Path) -> Expected:
        table = inputs.long_table()
        (folder / "table.csv").write_bytes(table.text())
        content = inputs.settings({"kind": "table", "path": str(folder / "table.csv")})
        more = {"pool": [*MODELS], "encoders": {"text": "builtin"}, "shrink": True}
        content |= more if change.random() < 0.5 else {}
        places = list(_places(content))
        holder, key = change.choice(places)
        value = change.choice(VALUES)
        if kind == "value":
            holder[key] = value
        elif kind == "key" and isinstance(holder, dict):
            new = change.choice((f"{key}x", str(key).upper(), 1, None, True, "", "é", (1, 2)))
            holder[new] = holder.pop(key)
        text = yaml.dump(content, sort_keys=False, allow_unicode=True)
        if kind == "bomb":
            name = change.choice(("pool", "seed", "name", "salts", "budgets", "text", "path"))
            text = f"{BOMB}\n" + re.sub(rf"(?m)^( *){name}:.*$", rf"\1{name}: *i", text)
            text = re.sub(r"(?m)^([a-i]): (?=&)", "- " if change.random() < 0.1 else r"\1: ", text)
        if kind == "text":
            lines = text.splitlines()
            lines.insert(change.randrange(len(lines) + 1), change.choice(SNIPPETS))
            text = "\n".join(lines)
        encoded = text.encode(errors="replace")
        if kind == "bytes":
            how = change.choice([None, *SAME_NUMBERS])
            encoded = change_bytes(change, encoded)[0] if how is None else SAME_NUMBERS[how](text)
        (folder / "config.yaml").write_bytes(encoded)
        numbers = long_numbers(table)
        return Expected(numbers, set(), present=False)

    return f"config: {kind}", write


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place of nested mappings and lists."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield content, key
        if isinstance(value, dict | list):
            yield from _places(value)


KINDS = (
    *3 * (draw_table,),
    draw_release,
    draw_logs,
    *3 * (draw_layout,),
    draw_image,
    draw_prices,
    draw_config,
)


def draw(seed: int) -> Case:
    """Draw the case of a seed; the same seed draws the same case."""
    generator = random.Random(seed)
    return Case(seed, *KINDS[seed % len(KINDS)](generator))


# -- Running ------------------------------------------------------------------------------


def work() -> None:
    """Examine the seeds that come in, one a line; answer each with a line of JSON."""
    import mmroute.checks
    import mmroute.cli
    import mmroute.encoders.builtin  # noqa: F401

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + 4 * MOST_BYTES,) * 2)
    for line in sys.stdin:
        folder = Path(tempfile.mkdtemp(prefix="mutation"))
        before = _peak()
        outcome = examine(draw(int(line)), folder)
        if _peak() - before > MOST_BYTES:
            outcome = outcome._replace(kind="failed", message=f"took {_peak() - before:,} bytes")
        shutil.rmtree(folder)
        _say(json.dumps(outcome))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


class _Worker:
    """A process that a case may crash or hang."""

    def __init__(self) -> None:
        command = [sys.executable, __file__, "--worker"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.started = False

    def examine(self, seed: int) -> Outcome:
        self.process.stdin.write(f"{seed}\n".encode())
        self.process.stdin.flush()
        limit = LONGEST_SECONDS if self.started else 3 * LONGEST_SECONDS
        self.started = True
        if not self.selector.select(limit):
            return self._failed(seed, f"hung for more than {limit} s")
        line = self.process.stdout.readline()
        if not line:
            return self._failed(seed, f"the process ended with {self.process.wait()}")
        return Outcome(*json.loads(line))

    def _failed(self, seed: int, message: str) -> Outcome:
        self.stop()
        return Outcome(seed, "failed", draw(seed).what, message)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def run(seeds: Iterable[int]) -> Iterator[Outcome]:
    """Examine the cases of some seeds, in a process that is started anew where one ends it."""
    worker = _Worker()
    try:
        for seed in seeds:
            if worker.process.poll() is not None:
                worker = _Worker()
            yield worker.examine(seed)
    finally:
        worker.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print every case")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work()
        return 0
    start = time.monotonic()
    counts: Counter[str] = Counter()
    for outcome in run(range(given.seed, given.seed + given.count)):
        counts[outcome.kind] += 1
        if given.verbose or outcome.kind == "failed":
            _say(f"{outcome.kind}: seed {outcome.seed}: {outcome.what}\n    {outcome.message}")
    _say(
        f"{given.count} mutated inputs from seed {given.seed}: {counts['handled']} handled, "
        f"{counts['refused']} refused, {counts['failed']} failed "
        f"in {time.monotonic() - start:.0f} s"
    )
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
