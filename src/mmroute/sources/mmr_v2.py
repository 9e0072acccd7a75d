"""The layout of MMR-Bench V2: instances by task, and outcomes by model and task, as Parquet."""

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmroute.confined import reading
from mmroute.errors import InputError, is_utf8
from mmroute.images import counts
from mmroute.outcome_table import OutcomeTable
from mmroute.sources.cells import column_names, numbers, read_cells, read_lists
from mmroute.sources.gathered import Gathered, require_columns
from mmroute.sources.image_files import locate, relative_paths, spelled_each
from mmroute.storage import is_file, leaves_folder

FILE = re.compile(r"data/(instances|results/.+)/[^/]+\.parquet")
INSTANCES = "data/instances"
IMAGES = "LMUData"
LAYOUT = "MMR-Bench V2's layout"
INSTANCE_COLUMNS = ("sample_id", "benchmark", "prompt_text", "images")
RESULT_COLUMNS = ("sample_id", "model_id", "score", "cost", "cost_unit", "status")
OK = "ok"


def find_files(root: Path) -> list[Path]:
    """List the files of the layout below ``root``, instances first; none if it is another."""
    instances = sorted((root / INSTANCES).glob("*.parquet"))
    results = sorted((root / "data/results").glob("*/**/*.parquet"))
    files = [
        path
        for path in (*instances, *results)
        if is_file(path) and is_utf8(str(path.relative_to(root)))
    ]
    return files if instances else []


def choose(paths: Sequence[str]) -> list[str]:
    """Pick the files of the layout; none if it is another."""
    chosen = [path for path in paths if FILE.fullmatch(path)]
    return chosen if any(path.startswith(f"{INSTANCES}/") for path in chosen) else []


def image_names(root: Path) -> Iterator[str]:
    """Read the names of all images, below the folder of images."""
    for path in find_files(root):
        if path.parent == root / INSTANCES:
            for names in read_lists(path, "images"):
                yield from (name for name in names if name and not leaves_folder(name))


def read(release: Path, root: Path, group: str, scenarios: Mapping[str, str]) -> OutcomeTable:
    """Read all tasks and models.

    Only an outcome of status ``ok`` is one.

    Parameters
    ----------
    release
        Its folder.
    root
        The folder that holds the images' folder, ``IMAGES``.
    group
        Name of the column of groups; ``group`` may be missing.
    scenarios
        Scenario of a benchmark, or of all whose names begin alike, up to a ``_``.

    Raises
    ------
    InputError
        If a file cannot be used.
    """
    files = find_files(release)
    instances = [path for path in files if path.parent == release / INSTANCES]
    gathered = Gathered(release)
    tasks: dict[str, tuple[pd.Index, np.ndarray]] = {}
    images: list[list[str]] = []
    for path in instances:
        cells = _instances(path, group, scenarios)
        known = len(gathered.samples)
        rows = gathered.describe(cells)
        if not np.array_equal(rows, np.arange(known, known + len(cells))):
            twice = cells["sample_id"][rows != np.arange(known, known + len(cells))].iloc[0]
            raise InputError(
                f"{path}: column 'sample_id' holds {twice!r:.80}, which another row has too; "
                "name each sample once"
            )
        tasks[path.stem] = pd.Index(cells["sample_id"]), rows
        images += read_lists(path, "images")
    statuses: Counter[str] = Counter()
    n_rows = 0
    for path in files[len(instances) :]:
        if path.stem not in tasks:
            raise InputError(
                f"{path}: there are no instances {path.name} below {release / INSTANCES}; "
                "add them, or remove the file"
            )
        n_rows += _outcomes(path, *tasks[path.stem], gathered, statuses)
    _warn(release, n_rows, statuses)
    frame = pd.DataFrame(gathered.samples).fillna("")
    return gathered.table(frame.assign(**_images(images, frame["sample_id"], root, release)))


def _instances(path: Path, group: str, scenarios: Mapping[str, str]) -> pd.DataFrame:
    """Describe a task's samples, without images."""
    names = column_names(path)
    require_columns(path, names, INSTANCE_COLUMNS, LAYOUT)
    if group not in ("group", *names):
        raise InputError(
            f"source.group: {path} has no column {group!r:.80}; it has {', '.join(names):.500}"
        )
    with reading(path):
        schema = pq.read_schema(path)
    cells = read_cells(
        path, [name for name in names if not pa.types.is_nested(schema.field(name).type)]
    )
    for name in ("sample_id", "benchmark"):
        empty = np.flatnonzero(cells[name] == "")
        if empty.size:
            raise InputError(f"{path}: column {name!r} is empty in row {empty[0] + 1}; fill it")
    benchmark = cells["benchmark"]
    taken = {*INSTANCE_COLUMNS, "answer", group}
    return pd.DataFrame(
        {
            "sample_id": cells["sample_id"],
            "dataset": benchmark,
            "scenario": benchmark.map(
                lambda name: scenarios.get(name, scenarios.get(name.partition("_")[0], name))
            ),
            "group": cells.get(group, ""),
            "question": cells["prompt_text"],
            "answer": cells.get("answer", ""),
            **{f"tag_{name}": cells[name] for name in cells if name not in taken},
        }
    )


def _outcomes(
    path: Path, ids: pd.Index, rows: np.ndarray, gathered: Gathered, statuses: Counter[str]
) -> int:
    """Add a file's outcomes, count the missing ones by reason; return how many rows it has."""
    names = column_names(path)
    require_columns(path, names, RESULT_COLUMNS, LAYOUT)
    answers = [name for name in ("prediction",) if name in names]
    cells = read_cells(path, [*RESULT_COLUMNS, *answers]).set_index("sample_id")
    places = ids.get_indexer(cells.index)
    if (places < 0).any():
        raise InputError(
            f"{path}: column 'sample_id' holds {cells.index[places < 0][0]!r:.80}, which is no "
            f"sample of {INSTANCES}/{path.name}; remove the row, or add the sample"
        )
    models = cells["model_id"].unique()
    if len(models) > 1 or models[0] == "":
        raise InputError(
            f"{path}: column 'model_id' holds {', '.join(map(repr, models)):.80}; name one model, "
            "the same in all rows"
        )
    ok = (cells["status"] == OK).to_numpy()
    foreign = ok & ~cells["cost_unit"].isin(["USD", ""]).to_numpy()
    if foreign.any():
        raise InputError(
            f"{path}: column 'cost_unit' of {cells.index[foreign][0]!r:.80} holds "
            f"{cells['cost_unit'][foreign].iloc[0]!r:.80}; give costs in USD"
        )
    utility = np.where(ok, numbers(cells["score"].where(ok, ""), path, highest=1), np.nan)
    cost = np.where(ok, numbers(cells["cost"].where(ok, ""), path), np.nan)
    statuses.update(cells["status"][~ok])
    statuses["ok, but without a score"] += int((ok & np.isnan(utility)).sum())
    told = pd.DataFrame({"utility": utility, "cost": cost}, cells.index)
    if answers:
        told["prediction"] = cells["prediction"].where(ok, "")
    gathered.add(models[0], rows[places], told, path)
    return len(cells)


def _warn(release: Path, n_rows: int, statuses: Counter[str]) -> None:
    missing = +statuses
    if missing:
        reasons = ", ".join(f"{status or 'no status'} {n:,}" for status, n in missing.most_common())
        warnings.warn(
            f"{release}: {missing.total():,} of {n_rows:,} outcomes are missing, by status: "
            f"{reasons:.500}",
            stacklevel=3,
        )
    warnings.warn(
        f"{release}: costs are MMR-Bench V2's estimates, from recorded output only: neither "
        "prompts, images nor unrecorded reasoning are in them, and the release calls 29 of its 44 "
        "prices of low confidence",
        stacklevel=3,
    )


def _images(
    lists: Sequence[Sequence[str]], ids: pd.Series, root: Path, release: Path
) -> dict[str, np.ndarray]:
    """Find each sample's images; warn of those that are no files."""
    index = pd.Index(ids)
    names = spelled_each(
        pd.Series(lists, index, object, name="images"),
        lambda names: relative_paths(names, root / IMAGES, release),
    )
    found = locate(pd.Series(names, index, str), root, f"{IMAGES}/")
    if len(found.lost):
        warnings.warn(
            f"{release}: {len(found.lost):,} of {counts(names).sum():,} images are no files below "
            f"{root / IMAGES}, such as {found.lost.iloc[0]!r:.80} of {found.lost.index[0]!r:.80}; "
            "their samples have no image, or fewer, set source.images to VLMEvalKit's folder "
            "LMUData",
            stacklevel=3,
        )
    return {name: getattr(found, name).to_numpy(object) for name in ("image", "image_digest")}
