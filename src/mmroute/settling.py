"""Whether results still are what the data, the config and the code make of them.

Snakemake tells by its own records, which lie in ``.snakemake`` where it was started. Results
that were moved from there, or copied without it, would look as if nothing had changed.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from secrets import token_hex

from mmroute.errors import InputError
from mmroute.job import move_aside
from mmroute.known_files import MOST_CONTENT, KnownFiles
from mmroute.provenance import RECORD
from mmroute.storage import is_file, read_json, write_text

NOT_PLANNED = "a run makes anew what was made of it, which a dry run does not show"
"""Snakemake plans by its records and by what is missing; a dry run moves nothing aside."""
_NOTE = "source.json"
"""What the first job of all makes."""
_TWIN = ".twin"
_EARLY = ("data", "outcomes", "splits.parquet", "embeddings", _NOTE)
"""What has to go for all to be made anew: the rest depends on these by its age."""


def pair(results: Path, records: Path) -> None:
    """Mark Snakemake's records, which lie in ``records``, as those of these results.

    They are where nothing has been made yet; elsewhere this does nothing.
    """
    if not any((results / name).exists() for name in _EARLY):
        token = token_hex(16)
        write_text(results / _TWIN, token)
        write_text(_record(results, records), token)


def settle(
    results: Path,
    records: Path,
    made_from: str,
    manifests: Iterable[Path],
    known: KnownFiles,
    begin: Callable[[], None] | None,
) -> Iterator[str]:
    """Move aside what is to be made anew although Snakemake would not see it.

    That is all early results where Snakemake has no records of them and they were made from
    something else than they would be now; and the note of a download that is no longer
    what came.

    Parameters
    ----------
    results
        The folder of a run, ``results/<name>``.
    records
        Snakemake's folder, ``.snakemake``.
    made_from
        A digest of data, config and code, which a finished run records.
    manifests
        Of downloads, as ``sources.hub.download`` writes them; they may not exist yet.
    known
        What is known of files.
    begin
        Called before anything is moved; None: nothing is, and it is only told.

    Yields
    ------
    str
        What to tell the user.

    Raises
    ------
    InputError
        If a manifest is damaged, or something cannot be moved.
    """
    early = [
        folder / name
        for folder in (results, results / "text_only")
        for name in _EARLY
        if (folder / name).exists()
    ]
    if early and not _is_paired(results, records) and _made_from(results) != made_from:
        if begin:
            begin()
            for path in early:
                move_aside(path)
        yield (
            f"{results}: came here without {records}, and is not what data, config and code now "
            f"make; {'all of it is made anew' if begin else NOT_PLANNED}"
        )
    for manifest in filter(is_file, manifests):
        note = next(folder for folder in manifest.parents if folder.name == "source")
        note = note.with_suffix(".json")
        damaged = _damage(manifest, known)
        if damaged and note.exists():
            if begin:
                begin()
                move_aside(note)
            again = "it is fetched again" if begin else NOT_PLANNED
            yield f"{damaged}: is not what was fetched; {again}"


def _record(results: Path, records: Path) -> Path:
    return records / "mmroute" / results.name


def _is_paired(results: Path, records: Path) -> bool:
    try:
        return (results / _TWIN).read_bytes() == _record(results, records).read_bytes()
    except OSError:
        return False


def _made_from(results: Path) -> str | None:
    """Return what a run was made from; None if none has finished."""
    try:
        record = read_json(results / RECORD)
    except InputError:
        return None
    return record.get("made_from") if isinstance(record, dict) else None


def _damage(manifest: Path, known: KnownFiles) -> Path | None:
    """Return the first file of a download that is not as it came."""
    came = {manifest.parent / file["path"]: file for file in read_json(manifest)["files"]}
    for path, file in came.items():
        if not is_file(path) or path.stat().st_size != file["size"]:
            return path
    if sum(file["size"] for file in came.values()) > MOST_CONTENT:
        return None
    return next((path for path in came if known.sha256(path) != came[path]["sha256"]), None)
