"""Where results come from: what a run was made with, and a digest of every file that it made."""

import csv
import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mmroute.errors import InputError, printable
from mmroute.images import each
from mmroute.outcomes.datasets import INPUTS, read_samples
from mmroute.source_tree import SOURCE_TREE
from mmroute.sources.image_files import UNKNOWN
from mmroute.storage import damaged, digest_file, digest_sha256, is_file, read_json

RECORD = "provenance.json"
UNRECORDED = {"logs", "benchmarks", "source", "text_only/source"}
"""Folders that differ from run to run, or hold what was brought here and has its own manifest."""
_PASSING = re.compile(r"\.snakemake_timestamp|\.(lock|twin|inputs\.json)|\..*\.(partial|damaged)")
"""Names of what is written just now, of what was moved aside, and of marks of a run's start."""
_MANIFESTS = ("source/manifest.json", "source/*/fetched/manifest.json")
"""Of downloads, below the folder of a run or of its second source."""
_SECONDS_UNTIL_BAR = 3


def describe(
    results: Path,
    config: Mapping[str, Any],
    snakemake: str,
    prices: Iterable[Path],
    manifests: Iterable[Path],
    unfinished: Collection[str],
    checkpoints: Iterable[Path] = (),
    choices: Iterable[Path] = (),
) -> dict[str, Any]:
    """Return what stands in ``provenance.json`` and in the report, but for the files' digests.

    Versions are those of the environment that this runs in.

    Parameters
    ----------
    results
        The folder of a run, ``results/<name>``.
    config
        The run's, with its defaults.
    snakemake
        The version of Snakemake.
    prices
        The price tables.
    manifests
        Of downloads, as ``sources.hub.download`` writes them; those that do not
        exist are left out.
    unfinished
        Stages whose jobs may not have ended yet; they are left out.
    checkpoints
        The user's own files that encoders and routers begin with.
    choices
        What routers from elsewhere chose.

    Returns
    -------
    dict
        JSON: ``config``, ``versions``, ``code``, ``data``, ``seeds``, ``machine`` and
        ``stages``, see the functions of this module.

    Raises
    ------
    InputError
        If the index of the data, a manifest or a benchmark file is not whole.
    """
    return {
        # JSON has no infinity, which a config may hold.
        "config": json.loads(json.dumps(config), parse_constant=str),
        "versions": versions(SOURCE_TREE) | {"snakemake": snakemake},
        "code": code(SOURCE_TREE),
        "data": data(results, prices, manifests, checkpoints, choices),
        "seeds": {"seed": config["seed"], "salts": config["split"]["salts"]},
        "machine": machine(),
        "stages": stages(results / "benchmarks", unfinished),
    }


def versions(tree: Path) -> dict[str, Any]:
    """Return the versions of Python, of mmroute and of its direct dependencies that are here."""
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[^\w.-]", requirement)[0] for requirement in chain(*requirements)}
    packages = {}
    for name in sorted(names - {project["name"]}):
        with suppress(importlib.metadata.PackageNotFoundError):
            packages[name] = importlib.metadata.version(name)
    return {
        "python": platform.python_version(),
        "mmroute": project["version"],
        "packages": packages,
    }


def code(tree: Path) -> dict[str, Any]:
    """Return the git ``commit`` of a source tree, and whether the tree is ``clean``.

    ``changed`` lists what is not in the commit, as ``git status --porcelain`` does;
    files that git does not know count. Where git has no answer all three are None,
    and ``reason`` says why.
    """
    if not (tree / ".git").exists():
        return _unknown("the source tree is no git checkout")
    try:
        commit = _git(tree, "rev-parse", "HEAD").strip()
        changed = _git(tree, "--no-optional-locks", "status", "--porcelain").splitlines()
    except FileNotFoundError:
        return _unknown("git is not installed")
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()).replace(str(tree), "the source tree")
        return _unknown(f"git cannot read the source tree: {said}")
    return {"commit": commit, "clean": not changed, "changed": changed, "reason": None}


def _git(tree: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(tree), *arguments], capture_output=True, text=True, check=True
    ).stdout


def _unknown(reason: str) -> dict[str, Any]:
    return {"commit": None, "clean": None, "changed": None, "reason": reason}


def data(
    results: Path,
    prices: Iterable[Path],
    manifests: Iterable[Path],
    checkpoints: Iterable[Path],
    choices: Iterable[Path],
) -> dict[str, Any]:
    """Return the digests of what came in.

    ``datasets`` and ``text_only`` (None without a second source) are those of the
    sources' indices, see ``outcomes.write_datasets``; ``prices``, ``checkpoints`` and
    ``choices`` have the digest of each file by its path, and ``downloads`` the manifests.
    """
    indices = (results / "data/index.json", results / "text_only/data/index.json")
    datasets, text_only = (
        read_json(index)["datasets"] if index.is_file() else None for index in indices
    )
    return {
        "datasets": datasets,
        "text_only": text_only,
        "prices": {str(path): digest_file(path) for path in prices},
        "checkpoints": {str(path): digest_file(path) for path in checkpoints},
        "choices": {str(path): digest_file(path) for path in choices},
        "downloads": [read_json(path) for path in manifests if path.is_file()],
    }


def machine() -> dict[str, Any]:
    """Return the platform, the number of CPUs and the memory in bytes; nothing that names it."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        memory = None
    return {"platform": platform.platform(), "cpus": os.cpu_count(), "memory_bytes": memory}


def stages(benchmarks: Path, unfinished: Collection[str]) -> dict[str, dict[str, float | None]]:
    """Add up what Snakemake measured of the jobs, by the first folder below ``benchmarks``.

    What is there of an ``unfinished`` stage is of an earlier run, or only a part.

    Per stage ``jobs``, ``seconds`` and ``cpu_seconds`` are sums, ``peak_mib`` is the
    maximum. A job that was too short to be measured counts as nothing; what was
    measured of no job is None. Raises InputError if a file is not whole.
    """
    rows: dict[str, list[dict[str, float]]] = {}
    for path in filter(is_file, sorted(benchmarks.rglob("*.tsv"))):
        stage = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        if stage not in unfinished:
            rows.setdefault(printable(stage), []).extend(_measured(path))
    return {
        stage: {
            "jobs": len(jobs),
            "seconds": _reduced(sum, jobs, "s"),
            "cpu_seconds": _reduced(sum, jobs, "cpu_time"),
            "peak_mib": _reduced(max, jobs, "max_rss"),
        }
        for stage, jobs in rows.items()
    }


def _measured(path: Path) -> list[dict[str, float]]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    try:
        return [{name: _number(row[name]) for name in ("s", "cpu_time", "max_rss")} for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: no benchmark of Snakemake's ({error!r:.80}); delete it and run again"
        ) from error


def _number(text: str) -> float:
    return math.nan if text in ("-", "NA") else float(text)


def _reduced(reduce: Any, jobs: list[dict[str, float]], column: str) -> float | None:
    known = [job[column] for job in jobs if math.isfinite(job[column])]
    return round(reduce(known), 2) if known else None


def digests(results: Path, threads: int) -> dict[str, dict[str, Any]]:
    """Return ``digest`` (hex blake2b-128) and ``size`` (bytes) of every file, by relative path."""
    found = _files(results)
    sizes = [path.stat().st_size for path in found.values()]
    hashed = _digest_all(found.values(), threads)
    return {
        name: {"digest": digest, "size": size}
        for name, digest, size in zip(found, hashed, sizes, strict=True)
    }


def _digest_all(paths: Iterable[Path], threads: int) -> list[str]:
    paths = list(paths)
    with ThreadPoolExecutor(threads) as pool:
        hashed = pool.map(digest_file, paths)
        return list(tqdm(hashed, "digests", len(paths), delay=_SECONDS_UNTIL_BAR, leave=False))


def _files(results: Path) -> dict[str, Path]:
    return dict(sorted((_name(path, results), path) for path in _walk(results)))


def _walk(results: Path) -> Iterator[Path]:
    """Yield the regular files of a run but for what is unrecorded, or there in passing."""
    for place, folders, names in os.walk(results):
        folder = Path(place)
        folders[:] = [
            name
            for name in folders
            if (folder / name).relative_to(results).as_posix() not in UNRECORDED
            and not _PASSING.fullmatch(name)
        ]
        for name in names:
            path = folder / name
            if not _PASSING.fullmatch(name) and path != results / RECORD and is_file(path):
                yield path


def _name(path: Path, results: Path) -> str:
    """Return the relative path, with what cannot be printed spelled out."""
    return printable(path.relative_to(results).as_posix())


@dataclass(frozen=True)
class Comparison:
    """How files compare with their record.

    Attributes
    ----------
    matching
        How many are as recorded.
    missing, changed, new
        Relative paths: recorded but not there, of other content, and not recorded.
    """

    matching: int
    missing: list[str]
    changed: list[str]
    new: list[str]

    @property
    def same(self) -> bool:
        """Whether all is as recorded."""
        return not (self.missing or self.changed or self.new)

    def text(self) -> str:
        """Return one line for each file that differs, and one with the counts."""
        kinds = {"missing": self.missing, "changed": self.changed, "new": self.new}
        lines = [f"{kind}: {name}" for kind, names in kinds.items() for name in names]
        counts = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items())
        return "\n".join([*lines, f"{self.matching} as recorded, {counts}"]) + "\n"


def verify(results: Path, threads: int) -> Comparison:
    """Compare every file of a run with its ``provenance.json``.

    Raises InputError if that is not there, or damaged.
    """
    recorded = _recorded(results / RECORD)
    found = _files(results)
    sized = {
        name: path
        for name, path in found.items()
        if name in recorded and path.stat().st_size == recorded[name]["size"]
    }
    hashed = dict(zip(sized, _digest_all(sized.values(), threads), strict=True))
    matching = {name for name, digest in hashed.items() if digest == recorded[name]["digest"]}
    return Comparison(
        len(matching),
        sorted(recorded.keys() - found.keys()),
        sorted((recorded.keys() & found.keys()) - matching),
        sorted(found.keys() - recorded.keys()),
    )


def verify_inputs(results: Path, threads: int) -> dict[str, Comparison]:
    """Compare what a run was made of with what it recorded of it.

    Relative paths start from where the run was started, two folders up.

    Returns
    -------
    dict
        By the rule that reads them first: ``fetch`` and ``fetch_text_only`` for tables,
        logs, archives, downloads and images, ``outcomes`` for price tables, ``embed`` for
        checkpoints and ``train`` for choices from elsewhere; those without such files are left
        out.

    Raises
    ------
    InputError
        If a record is not there, or damaged.
    """
    _recorded(results / RECORD)
    came = read_json(results / RECORD)["data"]
    recorded = {
        "fetch": _read_by(results),
        "fetch_text_only": _read_by(results / "text_only"),
        "outcomes": dict(came["prices"]),
        "embed": dict(came["checkpoints"]),
        "train": dict(came.get("choices", {})),
    }
    start = results.absolute().parents[1]
    return {rule: _compared(known, start, threads) for rule, known in recorded.items() if known}


def _compared(known: Mapping[str, str], start: Path, threads: int) -> Comparison:
    there = [name for name in known if is_file(start / name)]
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(lambda name: _has(start / name, known[name]), there)
        same = list(tqdm(found, "inputs", len(there), delay=_SECONDS_UNTIL_BAR, leave=False))
    changed = [printable(name) for name, is_same in zip(there, same, strict=True) if not is_same]
    missing = [printable(name) for name in known if name not in set(there)]
    return Comparison(sum(same), sorted(missing), sorted(changed), [])


def _has(path: Path, digest: str) -> bool:
    return digest == (digest_file if len(digest) == 32 else digest_sha256)(path)


def _read_by(folder: Path) -> dict[str, str]:
    """Return the digest of all that the data below a folder were read from, by path."""
    data = folder / "data"
    if not data.is_dir():
        return {}
    known = dict(read_json(data / INPUTS))
    samples = read_samples(data)[["image", "image_digest"]].dropna().drop_duplicates("image")
    root = Path(read_json(folder / "source.json")["root"])
    for images, digests in samples.itertuples(index=False):
        held = [digest for digest in each(digests) if not digest.startswith(UNKNOWN)]
        known |= zip((str(root / path) for path in each(images)), held, strict=False)
    for manifest in [path for pattern in _MANIFESTS for path in folder.glob(pattern)]:
        came = {manifest.parent / file["path"]: file for file in read_json(manifest)["files"]}
        known |= {str(path.absolute()): file["sha256"] for path, file in came.items()}
    return known


def _recorded(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        raise InputError(f"{path}: no such file; run the config first: mmroute run CONFIG")
    content = read_json(path)
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict):
        raise damaged(path, "lists no files")
    for name, entry in files.items():
        if not isinstance(entry, dict) or not {"digest", "size"} <= entry.keys():
            raise damaged(
                path, f"files has {entry!r:.80} for {name!r:.80}, not its digest and size"
            )
    return files
