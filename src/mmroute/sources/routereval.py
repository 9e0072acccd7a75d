"""RouterEval: per benchmark a pickle of pools of models and their scores on its prompts."""

import reprlib
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from textwrap import shorten
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Ge, Gt

from mmroute.confined import reading
from mmroute.errors import InputError, Undecided, raise_disk_fault
from mmroute.outcome_table import OutcomeTable
from mmroute.sources.archives import MAX_BYTES
from mmroute.sources.pickles import read_pickle
from mmroute.sources.release import Release, clean
from mmroute.sources.token_counts import without_counts
from mmroute.storage import atomic_folder

SUFFIX = "_router_dataset.pkl"
ARCHIVE = "router_dataset.zip"
UNPACKED = "unpacked"
SPLITS = ("train", "val", "test")
LEVELS, POOL_SIZES = ("easy", "hard"), (5, 3, 10, 100, 1000)
GROUPS = ("strong_to_weak", "all_strong", "all_weak")


class RouterEval(Release):
    """The router data of RouterEval, or any in its layout.

    One pickle per benchmark, ``<benchmark>_router_dataset.pkl``, loose or in
    ``router_dataset.zip``: a dict ``d`` where

    - ``d["prompt"]["train_prompt"]``, and so on for ``val`` and ``test``, are the texts;
    - ``d[level][pool_size][group]`` is a pool: its ``"model"`` are K names, and
      ``["data"]["train_score"]``, and so on, are samples x K scores in [0, 1].
      ``train_label`` stands for a missing ``train_score``.

    The embeddings beside them are not used: the encoder of the config reads the
    prompts. The splits are joined, and each sample has its own as a tag. Each
    benchmark is a data set and a scenario. Benchmarks have pools of their own; a
    model that is in one only is missing on the others.

    There are neither costs nor token counts. Prompt tokens are estimated from the
    prompt, completion tokens are assumed, and a price table prices them.

    Parameters
    ----------
    path
        A folder with the pickles or the archive, or one of them.
    benchmark
        The one to read, such as ``mmlu``; all that are there if left out.
    level, pool_size, group
        The pool: ``easy`` has 3 or 5 models, ``hard`` 10, 100 or 1000.
    completion_tokens
        Tokens of each answer.
    """

    name = "routereval"

    def __init__(
        self,
        path: str | None = None,
        repo: str | None = None,
        revision: str | None = None,
        benchmark: str | None = None,
        level: Literal["easy", "hard"] = "easy",
        pool_size: Annotated[int, Gt(0)] = 5,
        group: Literal["all_strong", "all_weak", "strong_to_weak"] = "strong_to_weak",
        completion_tokens: Annotated[float, Ge(0)] = 100.0,
    ) -> None:
        if path is not None and Path(path).name == ARCHIVE:
            path = str(Path(path).parent)
        super().__init__(path, repo, revision)
        self.benchmark = benchmark
        self.level = level
        self.pool_size = pool_size
        self.group = group
        self.completion_tokens = completion_tokens

    @property
    def wanted(self) -> str:
        """What the pickles are called."""
        return f"{self.benchmark or '<benchmark>'}{SUFFIX} or {ARCHIVE}"

    def choose(self, paths: Sequence[str]) -> list[str]:
        """Pick the pickles, else the archive."""
        pickles = [path for path in paths if self._is_wanted(path)]
        return pickles or [path for path in paths if PurePosixPath(path).name == ARCHIVE][:1]

    def fetch(self, folder: Path) -> Path:
        """Download the files, or point at the local ones; unpack the archive if need be.

        An archive's pickles then lie in ``folder/unpacked``, which is the root.
        """
        # What an earlier call has unpacked would be found with the others.
        shutil.rmtree(folder / UNPACKED, ignore_errors=True)
        root = super().fetch(folder)
        files = self.files(root)
        if files[0].name != ARCHIVE:
            return root
        with atomic_folder(folder / UNPACKED) as partial:
            self._unpack(files[0], partial)
        return folder / UNPACKED

    def read(self, root: Path) -> OutcomeTable:
        """Read the pickles one by one."""
        parts = [self._read_benchmark(path) for path in self.files(root)]
        samples = pd.concat([samples for samples, _, _ in parts], ignore_index=True)
        models = list(dict.fromkeys(model for _, models, _ in parts for model in models))
        utility = np.full((len(samples), len(models)), np.nan)
        start = 0
        for own, names, scores in parts:
            columns = [models.index(name) for name in names]
            utility[start : start + len(own), columns] = scores
            start += len(own)
        return without_counts(root, samples, models, utility, self.completion_tokens)

    def _is_wanted(self, path: str) -> bool:
        name = PurePosixPath(path).name
        return name == f"{self.benchmark}{SUFFIX}" or (
            self.benchmark is None and name.endswith(SUFFIX)
        )

    def _unpack(self, archive: Path, folder: Path) -> None:
        """Write the archive's pickles into ``folder`` by their bare names, and nothing else."""
        try:
            with reading(archive), zipfile.ZipFile(archive) as members:
                wanted = [
                    member for member in members.infolist() if self._is_wanted(member.filename)
                ]
                if not wanted or sum(member.file_size for member in wanted) > MAX_BYTES:
                    raise InputError(
                        f"{archive}: holds no {self.wanted.partition(' or ')[0]}, or more than "
                        f"{MAX_BYTES} bytes of them; unpack it yourself and set source.path"
                    )
                for member in wanted:
                    with (
                        reading(archive),
                        members.open(member) as packed,
                        (folder / PurePosixPath(member.filename).name).open("wb") as stream,
                    ):
                        shutil.copyfileobj(packed, stream)
        except (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
            raise_disk_fault(error, folder)
            raise InputError(
                f"{archive}: not readable as zip ({shorten(str(error), 200)}); fetch it again"
            ) from error

    def _pool(self, content: Any, path: Path) -> Any:
        """Return the pool that the config names."""
        size = self.pool_size
        try:
            return _get(content, path, self.level, (size, str(size)), self.group)
        except InputError as error:
            there = _first(content, LEVELS, POOL_SIZES, GROUPS)
            keys = dict(zip(("level", "pool_size", "group"), there, strict=False))
            raise Undecided(str(error), keys) from None

    def _read_benchmark(self, path: Path) -> tuple[pd.DataFrame, list[str], np.ndarray]:
        """Return a benchmark's N samples, its pool's K models and their (N, K) scores."""
        content = read_pickle(path)
        benchmark = path.stem.removesuffix(SUFFIX.removesuffix(".pkl"))
        pool = self._pool(content, path)
        models = _models(_get(pool, path, "model"), path)
        samples, scores = [], []
        for split in SPLITS:
            prompts = list(_prompts(_get(content, path, "prompt", f"{split}_prompt"), split, path))
            samples += [
                {
                    "sample_id": f"{benchmark}_{split}_{number}",
                    "dataset": benchmark,
                    "scenario": benchmark,
                    "question": prompt,
                    "answer": None,
                    "image": None,
                    "image_digest": None,
                    "tag_split": split,
                }
                for number, prompt in enumerate(prompts)
            ]
            given = _get(pool, path, "data", (f"{split}_score", f"{split}_label"))
            scores.append(_scores(given, (len(prompts), len(models)), split, path))
        return pd.DataFrame(samples), models, np.concatenate(scores)


def _first(content: Any, *keys: Sequence[Any]) -> list[Any]:
    """Return the first keys of nested dicts that are among those of each level; empty if none."""
    there = content if isinstance(content, dict) else {}
    for key in keys[0]:
        found = next((own for own in (key, str(key)) if own in there), None)
        if found is not None:
            if len(keys) == 1:
                return [key]
            if below := _first(there[found], *keys[1:]):
                return [key, *below]
    return []


def _get(content: Any, path: Path, *keys: Any) -> Any:
    """Return what stands under nested keys; a tuple names a key in several ways.

    Raises InputError naming the key that is missing and those that are there.
    """
    for key in keys:
        options = key if isinstance(key, tuple) else (key,)
        there = content if isinstance(content, dict) else {}
        found = next((option for option in options if option in there), None)
        if found is None:
            present = ", ".join(reprlib.repr(name) for name in list(there)[:12])
            raise InputError(
                f"{path}: no key {' or '.join(map(repr, options))} among {present or 'none'}; "
                "RouterEval's layout needs it, and a pool is chosen by source.level, "
                "source.pool_size and source.group"
            )
        content = there[found]
    return content


def _models(names: Any, path: Path) -> list[str]:
    names = [clean(name) for name in names] if _is_list_of_texts(names) else []
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path}: key 'model' holds no list of different names; correct it")
    return names


def _prompts(prompts: Any, split: str, path: Path) -> Iterator[str]:
    if not _is_list(prompts):
        raise InputError(f"{path}: key '{split}_prompt' holds no list of texts; give one")
    for number, prompt in enumerate(prompts):
        if isinstance(prompt, str):
            yield clean(prompt)
        elif _is_list_of_texts(prompt):
            yield clean("\n\n".join(prompt))
        else:
            raise InputError(
                f"{path}: '{split}_prompt' {number} is {reprlib.repr(prompt)}, which is "
                "no text; the samples need their prompts, as the embeddings are not used"
            )


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)


def _is_list_of_texts(value: Any) -> bool:
    return _is_list(value) and all(isinstance(part, str) for part in value)


def _scores(scores: Any, shape: tuple[int, int], split: str, path: Path) -> np.ndarray:
    try:
        if isinstance(scores, np.ndarray):
            matrix = scores.astype(float)
        else:
            # Row by row: lists nested deeper are an error, not a matrix of more dimensions.
            matrix = np.stack([np.fromiter(row, float, count=len(row)) for row in scores])
    except (TypeError, ValueError, OverflowError):
        matrix = np.empty(0)
    if matrix.shape != shape:
        raise InputError(
            f"{path}: '{split}_score' is no matrix of {shape[0]} prompts x {shape[1]} models "
            f"but of shape {matrix.shape}; give a score for each"
        )
    bad = np.argwhere(~(np.isnan(matrix) | ((matrix >= 0) & (matrix <= 1))))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"{path}: '{split}_score' of prompt {row} and model {column} is "
            f"{matrix[row, column]:g}; scale it to [0, 1]"
        )
    return matrix
