"""Make a simulated archive in the layout and size of VL-RouterBench.

``python tests/bench/vl_archive.py FOLDER`` writes ``FOLDER/vlm_router_data.tar.gz``. No
model was run: names and sizes are real, everything else is drawn from a seed and says
``simulated``.
"""

import base64
import csv
import sys
import tarfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import openpyxl
import pandas as pd
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tqdm import tqdm

SIZES = {
    "MMBench_DEV_EN_V11": 1292,
    "MMStar": 1500,
    "MMMU_DEV_VAL": 1050,
    "RealWorldQA": 765,
    "InfoVQA_VAL": 2801,
    "HallusionBench": 951,
    "MathVista_MINI": 1000,
    "MathVision_MINI": 304,
    "MathVerse_MINI": 3940,
    "AI2D_TEST": 3088,
    "ChartQA_TEST": 2500,
    "DocVQA_VAL": 5349,
    "TextVQA_VAL": 5000,
    "OCRBench": 1000,
}
"""Samples of each data set, 30,540 in all."""

CHOICE = ("MMBench_DEV_EN_V11", "MMStar", "MMMU_DEV_VAL", "RealWorldQA", "AI2D_TEST")
JUDGED = {
    **dict.fromkeys(CHOICE, ("openai_result", "hit")),
    "HallusionBench": ("auxmatch", "score"),
    "MathVista_MINI": ("gpt-4o-mini", "is_correct"),
    "MathVision_MINI": ("gpt-4o-mini", "is_correct"),
    "MathVerse_MINI": ("gpt-4o-mini_score", "score"),
    "InfoVQA_VAL": ("results", "eval_match"),
    "ChartQA_TEST": ("results", "eval_match"),
    "DocVQA_VAL": ("results", "eval_match"),
    "TextVQA_VAL": ("results", "eval_match"),
    "OCRBench": ("", "is_correct"),
}
"""The suffix of each data set's judged file, and its column of correctness."""

PRICES = Path(__file__).parents[2] / "config" / "prices" / "vl_routerbench.csv"
THINKING = "Kimi-VL-A3B-Thinking-2506"
WORDS = ("simulated", "answer", "that", "no", "model", "gave:", "a", "chart", "of", "bars")


def make_archive(
    folder: Path,
    sizes: Mapping[str, int] = SIZES,
    models: Sequence[str] | None = None,
    seed: int = 0,
) -> Path:
    """Write ``folder/vlm_router_data.tar.gz`` and return its path.

    Parameters
    ----------
    folder
        An existing folder.
    sizes
        Samples of each data set; data sets of ``SIZES``.
    models
        Names; those of VL-RouterBench's price table by default.
    seed
        Another seed draws other questions, answers, outcomes and pictures.
    """
    models = list(pd.read_csv(PRICES)["model"]) if models is None else models
    archive = folder / "vlm_router_data.tar.gz"
    with TemporaryDirectory(dir=folder) as scratch:
        data = Path(scratch) / "vlm_router_data"
        (data / "TSV_images").mkdir(parents=True)
        (data / "README.txt").write_text(f"simulated, seed {seed}: no model was run\n")
        samples = {dataset: draw_samples(dataset, size, seed) for dataset, size in sizes.items()}
        for dataset, frame in samples.items():
            write_images(data / "TSV_images" / f"{dataset}.tsv", dataset, frame, seed)
        with ProcessPoolExecutor() as pool:
            write = partial(write_model, data, samples, seed)
            list(tqdm(pool.map(write, models), total=len(models), desc="models"))
        with tarfile.open(archive, "w:gz", compresslevel=1) as members:
            members.add(data, arcname=data.name)
    return archive


def draw_samples(dataset: str, size: int, seed: int) -> pd.DataFrame:
    """Return the columns that all files of a data set share."""
    rng = np.random.default_rng([seed, *dataset.encode()])
    frame = pd.DataFrame({"index": np.arange(size)})
    if dataset == "HallusionBench":
        frame["index"] = [f"VD_{row}_{row % 4}" for row in range(size)]
    if dataset == "MMMU_DEV_VAL":
        frame["id"] = [f"dev_simulated_{row}" for row in range(size)]
    frame["question"] = [
        f"simulated question {row} of {dataset}: {phrase(rng, 4, 25)}?" for row in range(size)
    ]
    if dataset in CHOICE:
        for letter in "ABCD":
            frame[letter] = [phrase(rng, 1, 4) for _ in range(size)]
    frame["answer"] = rng.choice(list("ABCD"), size)
    frame["category"] = rng.choice(["simulated chart", "simulated text", "simulated map"], size)
    return frame


def phrase(rng: np.random.Generator, fewest: int, most: int) -> str:
    """Return some words."""
    return " ".join(rng.choice(WORDS, rng.integers(fewest, most + 1)))


def write_images(path: Path, dataset: str, samples: pd.DataFrame, seed: int) -> None:
    """Write an image table; every tenth row points to the row before it."""
    rng = np.random.default_rng([seed, 1, *dataset.encode()])
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, delimiter="\t", lineterminator="\n")
        rows.writerow([*samples.columns, "image"])
        for position, row in enumerate(samples.itertuples(index=False)):
            cell = base64.b64encode(picture(rng, position)).decode()
            if position % 10 == 9:
                cell = samples["index"].iloc[position - 1]
            elif dataset == "MMMU_DEV_VAL" and position % 10 == 3:
                cell = str([cell, cell])
            rows.writerow([*row, cell])


def picture(rng: np.random.Generator, position: int) -> bytes:
    """Return a tiny JPEG or PNG of noise, marked as simulated."""
    image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    content = BytesIO()
    if position % 2:
        image.save(content, "JPEG", comment=b"simulated")
    else:
        note = PngInfo()
        note.add_text("Comment", "simulated")
        image.save(content, "PNG", pnginfo=note)
    return content.getvalue()


def write_model(data: Path, samples: Mapping[str, pd.DataFrame], seed: int, model: str) -> None:
    """Write the raw outputs and the judged files of one model."""
    rng = np.random.default_rng([seed, 2, *model.encode()])
    skill = rng.uniform(0.3, 0.85)
    words = (200, 800) if model == THINKING else (3, 60)
    for tree in ("VLMEvalKit_inference", "VLMEvalKit_evaluation"):
        (data / tree / model).mkdir(parents=True)
    for dataset, shared in samples.items():
        order = rng.permutation(len(shared))
        raw = shared.iloc[order].assign(prediction=[phrase(rng, *words) for _ in order])
        suffix, column = JUDGED[dataset]
        right = rng.random(len(raw)) < skill
        if column == "eval_match":
            marks = [
                f"[{float(mark != (dataset in ('DocVQA_VAL', 'InfoVQA_VAL')))}]" for mark in right
            ]
        else:
            marks = right if column == "score" else right.astype(int)
        name = f"{model}_{dataset}"
        write_sheet(data / "VLMEvalKit_inference" / model / f"{name}.xlsx", raw)
        write_sheet(
            data
            / "VLMEvalKit_evaluation"
            / model
            / f"{'_'.join(filter(None, (name, suffix)))}.xlsx",
            raw.assign(**{column: marks}, log="simulated: judged by nobody"),
        )


def write_sheet(path: Path, frame: pd.DataFrame) -> None:
    """Write a workbook of one sheet."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("simulated")
    sheet.append(list(frame))
    for row in frame.astype(object).itertuples(index=False):
        sheet.append(row)
    book.save(path)


if __name__ == "__main__":
    print(make_archive(Path(sys.argv[1])))
