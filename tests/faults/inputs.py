"""Small whole inputs of every kind that a run reads, and what they say."""

import base64
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import yaml
from PIL import Image

Pair = tuple[str, str]
Numbers = dict[Pair, tuple[Any, Any]]
"""By sample and model the utility and the cost in USD, as the input's cells have them."""

DATASETS, MODELS, SIZE = ("A", "B"), ("m-small", "m-large", "m-huge"), 12
SAMPLES = [f"{dataset}_{number}" for dataset in DATASETS for number in range(SIZE)]
PRICES = {"m-small": (0.5, 1.0), "m-large": (2.0, 8.0), "m-huge": (10.0, 40.0)}
PRICE_HEADER = ("model", "usd_per_1m_prompt_tokens", "usd_per_1m_completion_tokens")
DATE = "20250102_030405"


class Table:
    """Columns and rows of cells, to be changed in place and written in any format."""

    def __init__(self, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
        self.columns = list(columns)
        self.rows = [list(row) for row in rows]

    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def text(self, separator: str = ",") -> bytes:
        frame = pd.DataFrame([list(map(_plain, row)) for row in self.rows], columns=self.columns)
        return frame.to_csv(index=False, sep=separator, lineterminator="\n").encode(
            errors="replace"
        )

    def packed(self) -> bytes:
        return gzip.compress(self.text(), mtime=0)

    def jsonl(self) -> bytes:
        return "".join(f"{line}\n" for line in self._objects()).encode()

    def json(self) -> bytes:
        return f"[{', '.join(self._objects())}]".encode()

    def _objects(self) -> Iterator[str]:
        for row in self.rows:
            pairs = zip(self.columns, row, strict=True)
            own = ", ".join(f"{json.dumps(name)}: {json.dumps(cell)}" for name, cell in pairs)
            yield f"{{{own}}}"

    def arrow(self) -> pa.Table:
        columns = [[row[index] for row in self.rows] for index in range(len(self.columns))]
        return pa.table([_array(column) for column in columns], names=self.columns)

    def parquet(self) -> bytes:
        stream = io.BytesIO()
        pq.write_table(self.arrow(), stream, write_page_checksum=True)
        return stream.getvalue()

    def feather(self) -> bytes:
        stream = io.BytesIO()
        pa.feather.write_feather(self.arrow(), stream)
        return stream.getvalue()

    def xlsx(self) -> bytes:
        from openpyxl import Workbook
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

        workbook = Workbook()
        for row in [self.columns, *self.rows]:
            workbook.active.append(
                [
                    cell
                    if isinstance(cell, float | int | None) and abs(cell or 0) < 1e300
                    else ILLEGAL_CHARACTERS_RE.sub("", str(cell))[:30_000]
                    for cell in row
                ]
            )
        stream = io.BytesIO()
        workbook.save(stream)
        return stream.getvalue()


WRITERS: dict[str, Callable[[Table], bytes]] = {
    ".csv": Table.text,
    ".tsv": lambda table: table.text("\t"),
    ".csv.gz": Table.packed,
    ".jsonl": Table.jsonl,
    ".json": Table.json,
    ".parquet": Table.parquet,
    ".feather": Table.feather,
    ".xlsx": Table.xlsx,
}


def _plain(cell: Any) -> Any:
    return "" if cell is None else str(cell)


def _array(cells: list[Any]) -> pa.Array:
    """Return the cells as they are, as text where their kinds differ."""
    try:
        return pa.array(cells)
    except (pa.ArrowException, OverflowError, UnicodeError):
        text = [None if cell is None else str(cell).encode(errors="replace") for cell in cells]
        return pa.array([cell and cell.decode() for cell in text], pa.string())


def utility(sample: int, model: int) -> float:
    return ((3 * sample + 5 * model + sample * model) % 5) / 4


def tokens(sample: int, model: int) -> tuple[int, int]:
    return 11 + 3 * sample, 5 + sample + 7 * model


def cost(sample: int, model: int) -> float:
    return (1 + 3 * sample + model) / 1000


def question(sample: int) -> str:
    return f'Sample {sample}: "é, 日本" and ½?\nSecond line; 1,5'


def image(sample: int) -> str:
    return f"images/{sample}.png" if sample % 3 else ""


def draw_images(folder: Path) -> None:
    """Write the samples' images, PNG, and one in each other format."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(len(SAMPLES)):
        picture(number).save(folder / f"{number}.png")


def picture(number: int) -> Image.Image:
    own = Image.new("RGB", (24, 16), (10 * number % 256, 90, 200))
    own.paste((250, 250, 10), (number % 16, 2, number % 16 + 6, 12))
    return own


def long_table() -> Table:
    columns = [
        "sample_id",
        "dataset",
        "model",
        "utility",
        "cost",
        "question",
        "image",
        "prediction",
    ]
    return Table(
        columns,
        (
            [
                name,
                name.split("_")[0],
                model,
                utility(i, j),
                cost(i, j),
                question(i),
                image(i),
                f"answer {i} {j}",
            ]
            for i, name in enumerate(SAMPLES)
            for j, model in enumerate(MODELS)
        ),
    )


def wide_table(key: str = "sample_id", picture: str = "image") -> Table:
    columns = [key, "question", picture]
    columns += [f"{model}_{what}" for model in MODELS for what in ("correct", "cost", "prediction")]
    return Table(
        columns,
        (
            [name, question(i), image(i)]
            + [
                cell
                for j in range(len(MODELS))
                for cell in (utility(i, j), cost(i, j), f"answer {i} {j}")
            ]
            for i, name in enumerate(SAMPLES)
        ),
    )


def token_table() -> Table:
    """Return the long table with token counts instead of costs."""
    columns = [
        "sample_id",
        "dataset",
        "model",
        "utility",
        "prompt_tokens",
        "completion_tokens",
        "question",
    ]
    return Table(
        columns,
        (
            [name, name.split("_")[0], model, utility(i, j), *tokens(i, j), question(i)]
            for i, name in enumerate(SAMPLES)
            for j, model in enumerate(MODELS)
        ),
    )


def price_table() -> Table:
    return Table(PRICE_HEADER, ([model, *rates] for model, rates in PRICES.items()))


def logs() -> dict[str, Table]:
    """Return the logs of lmms-eval by path."""
    return {
        f"logs/{model}/{DATE}_samples_{dataset}.jsonl": Table(
            ("doc_id", "input", "target", "resps", "filtered_resps", "token_counts", "exact_match"),
            (
                [
                    i % SIZE,
                    question(i),
                    "A",
                    [["The answer is A"]],
                    ["A"],
                    [dict(zip(("input_tokens", "output_tokens"), tokens(i, j), strict=True))],
                    utility(i, j),
                ]
                for i, name in enumerate(SAMPLES)
                if name.startswith(dataset)
            ),
        )
        for j, model in enumerate(MODELS)
        for dataset in DATASETS
    }


def judged() -> dict[str, Table]:
    """Return the judged files of a VLMEvalKit work directory by path."""
    return {
        f"work/{model}/{model}_{dataset}_openai_result.xlsx": Table(
            ("index", "question", "answer", "prediction", "hit"),
            (
                [i % SIZE, question(i), "A", f"answer {i} {j}", utility(i, j)]
                for i, name in enumerate(SAMPLES)
                if name.startswith(dataset)
            ),
        )
        for j, model in enumerate(MODELS)
        for dataset in DATASETS
    }


def image_table() -> bytes:
    lines = ["index\timage"]
    for number in range(SIZE):
        stream = io.BytesIO()
        picture(number).save(stream, "PNG")
        lines.append(f"{number}\t{base64.b64encode(stream.getvalue()).decode()}")
    return ("\n".join(lines) + "\n").encode()


def settings(source: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "mutated",
        "source": source,
        "split": {"train": 0.5, "salts": [0, "b"]},
        "min_coverage": 0.05,
        "routers": {"knn": {"n_neighbors": 5}, "linear": None, "random": None},
        "studied": ["knn"],
        "experiments": {"main": {}},
        "seed": 3,
        "decision": {
            "router": "knn",
            "labels": "train",
            "budgets": ["50%", 0.5],
            "what_if_prices": {"m-huge": 2.0},
        },
    }


def write_config(path: Path, source: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(settings(source), sort_keys=False), encoding="utf-8")
