"""Downloads from the Hugging Face hub: pinned, verified, and resumed where they broke off.

The hub's own client does the talking, so ``HF_ENDPOINT``, ``HF_HOME`` (the token
and the cache of earlier downloads), ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` hold as ever,
and so do its time limits, ``HF_HUB_ETAG_TIMEOUT`` and ``HF_HUB_DOWNLOAD_TIMEOUT``.
Retries are ours: the client has none for some requests, and for others it waits as long
as a server says, or for ever.
"""

import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import mktime_tz, parsedate_tz
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar
from urllib.parse import quote

from huggingface_hub import (
    HfApi,
    constants,
    get_session,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT, HF_HUB_ETAG_TIMEOUT
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    # The root of the errors of whichever HTTP library this version of the client uses.
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (
    build_hf_headers,
    hf_raise_for_status,
    parse_ratelimit_headers,
    tqdm,
)

from mmroute.errors import InputError, raise_disk_fault
from mmroute.storage import leaves_folder, read_json, write_json

MANIFEST = "manifest.json"
PARALLEL_TRANSFERS = 8
PAUSES = (1.0, 4.0, 16.0, 60.0)
"""Seconds between the attempts at what may pass; one attempt more than these is made."""
LONGEST_PAUSE = 300.0
"""Seconds that a hub may ask to wait; one that asks for more has refused."""
LISTING_STALL = HF_HUB_ETAG_TIMEOUT
TRANSFER_STALL = HF_HUB_DOWNLOAD_TIMEOUT
"""Seconds without a byte after which a connection counts as broken."""

_Answer = TypeVar("_Answer")

logger = logging.getLogger("mmroute")


class WrongContentError(OSError):
    """A file came with another hash than its hub states."""


class FetchError(Exception):
    """What could not be fetched, why, and after how many attempts, in one line.

    Its cause is the last fault.
    """


def check_place(path: str | None, repo: str | None, revision: str | None) -> None:
    """Raise InputError unless there is either ``path``, or ``repo`` and ``revision``."""
    if (path is None) == (repo is None):
        raise InputError(
            f"source.path and source.repo: got {path!r} and {repo!r}; give exactly one of them"
        )
    if repo is not None and revision is None:
        raise InputError(
            f"source.revision: missing for source.repo {repo!r}; name a commit or a tag"
        )
    if path is not None and revision is not None:
        raise InputError(
            f"source.revision: {revision!r} has no meaning beside source.path; leave it out"
        )


def download(
    repo: str, revision: str, folder: Path, choose: Callable[[Sequence[str]], Sequence[str]]
) -> None:
    """Download files of a hub data set and write ``manifest.json`` beside them.

    A file takes its name in ``folder`` only when its size and hash are those
    that the hub states. What may pass (no connection, a stall, a status such as
    429 or 503, a file with another hash) is tried again, after the pauses of
    ``PAUSES`` or those that the hub asks for; attempts count as long as they bring
    no further byte. What a broken transfer brought stays in a hidden file, and the
    next attempt or the next call continues it; a file that is there already is verified
    and kept; one that an earlier call brought and this one does not is removed, as it
    would be read with the others. The manifest holds ``repo``, ``revision`` as asked for, the
    ``commit`` it stood for, and the ``path``, ``size`` (bytes) and ``sha256`` of
    each file.

    Parameters
    ----------
    repo
        The data set, ``owner/name``.
    revision
        A commit, tag or branch.
    folder
        Where the files go, under their paths in the data set.
    choose
        Picks the paths to download from all paths of the data set.

    Raises
    ------
    InputError
        If the data set cannot be reached, does not exist, needs a login, or
        sends a file other than the one it announced.
    OSError
        If the disk is full, read-only or broken; what was brought so far stays.
    """
    # The client itself reads the variable only once, when it is first imported.
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT", "").rstrip("/") or None)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        ask = partial(api.dataset_info, repo, revision=revision, timeout=LISTING_STALL)
        commit = str(persist(f"the commit of {repo!r}", ask).sha)
        files = {file.path: file for file in _tree(api, repo, commit)}
        chosen = [files[path] for path in choose(list(files))]
        with ThreadPoolExecutor(PARALLEL_TRANSFERS) as pool:
            land = partial(_land, api=api, repo=repo, commit=commit, folder=folder)
            records = list(pool.map(land, chosen))
    except (FetchError, OSError) as error:
        raise_disk_fault(error, folder)
        raise InputError(
            f"source.repo: cannot fetch the data set {repo!r} at revision {revision!r} from "
            f"{api.endpoint}: {_reason(error)}; or download it elsewhere and set source.path "
            "to its folder"
        ) from error
    _remove_others(folder, {file.path for file in chosen})
    write_json(
        folder / MANIFEST,
        {"repo": repo, "revision": revision, "commit": commit, "files": records},
    )


def _remove_others(folder: Path, kept: set[str]) -> None:
    if not (folder / MANIFEST).is_file():
        return
    for record in read_json(folder / MANIFEST)["files"]:
        if record["path"] not in kept and not leaves_folder(record["path"]):
            (folder / record["path"]).unlink(missing_ok=True)


def _land(
    file: RepoFile, *, api: HfApi, repo: str, commit: str, folder: Path
) -> dict[str, str | int]:
    """Bring one file into ``folder``, verified; return its record for the manifest."""
    if leaves_folder(file.path):
        raise InputError(
            f"source.repo: {repo!r} at {commit} lists the path {file.path!r}, which leaves its "
            "folder; do not use this data set"
        )
    target = folder / file.path
    if target.is_file() and (sha256 := _verified(target, file)):
        return _record(file, sha256)
    # Named by content: a transfer is never continued with bytes of another revision.
    part = target.with_name(f".{target.name}.{file.blob_id[:16]}.partial")
    part.parent.mkdir(parents=True, exist_ok=True)
    cached = try_to_load_from_cache(repo, file.path, revision=commit, repo_type="dataset")
    if isinstance(cached, str):
        if _verified(Path(cached), file):
            shutil.copyfile(cached, part)
        else:
            logger.warning(f"{cached} has another hash than its hub states; it is not used")
    url = hf_hub_url(repo, file.path, repo_type="dataset", revision=commit, endpoint=api.endpoint)
    sha256 = persist(
        f"{file.path!r} of {repo!r}",
        partial(_whole, file, part, url),
        lambda: part.stat().st_size if part.exists() else 0,
    )
    part.replace(target)
    return _record(file, sha256)


def _whole(file: RepoFile, part: Path, url: str) -> str:
    """Complete ``part``; return its sha256, or remove it if its content is wrong."""
    _transfer(file, part, url)
    sha256 = _verified(part, file)
    if sha256 is None:
        size = part.stat().st_size
        part.unlink()
        raise WrongContentError(
            f"came with {size} bytes and another hash than announced for its {file.size}, "
            "and was removed"
        )
    return sha256


def _transfer(file: RepoFile, part: Path, url: str) -> None:
    """Append what ``part`` lacks.

    ``hf_hub_download`` would drop its partial file when it fails, and the client's
    ``http_get`` the bytes of its last chunk.
    """
    with part.open("ab") as stream:
        start = stream.tell()
        if start >= file.size:
            return
        headers = build_hf_headers() | {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with get_session().stream("GET", url, headers=headers, timeout=TRANSFER_STALL) as response:
            hf_raise_for_status(response)
            if start and response.status_code != 206:
                start = stream.truncate(0)
            with tqdm(
                desc=file.path[-40:],
                total=file.size,
                initial=start,
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar:
                for chunk in response.iter_bytes():
                    stream.write(chunk)
                    bar.update(len(chunk))


def cached_model_file(repo: str, names: Sequence[str]) -> Path | None:
    """Return the first of these files of a hub model that the client's cache has."""
    cached = (try_to_load_from_cache(repo, name) for name in names)
    return next((Path(path) for path in cached if isinstance(path, str)), None)


def cache_model_file(repo: str, names: Sequence[str]) -> Path:
    """Have the first of these files that a hub model has in the client's cache, verified.

    Raises FetchError if none can be had, after retries as in `download`. A file whose
    content is not that of the sha256 it has as its name in the cache is removed from there.
    """
    for name in names:
        try:
            return persist(f"{name!r} of {repo!r}", partial(_cache, repo, name))
        except FetchError as error:
            # Without a connection this one may be missing in the cache and the next be there.
            if name == names[-1] or not isinstance(error.__cause__, EntryNotFoundError):
                raise
    raise ValueError("no names")


def cached_model(repo: str, commit: str) -> Path | None:
    """Return the folder of a hub model in the client's cache, if `cache_model` has filled it.

    A file with wrong content is removed from there, and the model then counts as missing.
    """
    last = try_to_load_from_cache(repo, "config.json", revision=commit)
    if not isinstance(last, str):
        return None
    folder = Path(last).parent
    try:
        for path in folder.rglob("*"):
            if path.is_file():
                _checked(path)
    except WrongContentError as error:
        logger.warning(f"{path.name!r} of {repo!r} in the cache: {error}")
        return None
    return folder


def cache_model(repo: str, commit: str, choose: Callable[[Sequence[str]], Sequence[str]]) -> Path:
    """Have files of a hub model at a commit in the client's cache, verified; return their folder.

    ``choose`` picks them from the paths of all its files; ``config.json`` comes last.

    Raises
    ------
    FetchError
        If one of them, or the model, cannot be had, after retries as in `download`.
    """
    ask = partial(HfApi().model_info, repo, revision=commit, timeout=LISTING_STALL)
    files = persist(f"the files of {repo!r}", ask).siblings or ()
    chosen = [name for name in choose([file.rfilename for file in files]) if name != "config.json"]
    for name in [*chosen, "config.json"]:
        last = persist(f"{name!r} of {repo!r}", partial(_cache, repo, name, commit))
    return last.parent


@contextmanager
def unreachable() -> Iterator[None]:
    """Have the client fetch nothing in the block, whatever library asks it to."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _cache(repo: str, name: str, commit: str | None = None) -> Path:
    return _checked(Path(hf_hub_download(repo, name, revision=commit)))


def _checked(link: Path) -> Path:
    """Return a file of the cache; raise WrongContentError, and remove it, if its hash is wrong."""
    # No link where the system has none, and no sha256 where a mirror names files otherwise.
    stated = link.readlink().name if link.is_symlink() else ""
    if not re.fullmatch("[0-9a-f]{64}", stated):
        return link
    with link.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != stated:
        (link.parent / link.readlink()).unlink(missing_ok=True)
        raise WrongContentError("came with another hash than announced, and was removed")
    return link


def persist(
    what: str, fetch: Callable[[], _Answer], brought: Callable[[], int] = lambda: 0
) -> _Answer:
    """Call ``fetch`` until it succeeds, with growing pauses after faults that may pass.

    Parameters
    ----------
    what
        What is fetched, for the log line of each retry.
    fetch
        One attempt; it raises what the hub's client raises, or WrongContentError.
    brought
        The bytes that the attempts so far have brought: after more of them than ever,
        the count of attempts begins anew.

    Raises
    ------
    FetchError
        If a fault cannot pass, or stayed after ``len(PAUSES) + 1`` attempts.
    """
    attempt, most = 1, brought()
    while True:
        try:
            return fetch()
        except (HTTPError, OSError, ValueError) as error:
            if brought() > most:
                attempt, most = 1, brought()
            asked = _asked_pause(error)
            if attempt > len(PAUSES) or asked > LONGEST_PAUSE or not _may_pass(error):
                tried = f", tried {attempt} times" if attempt > 1 else ""
                raise FetchError(f"{what}: {_said(error)}{tried}") from error
            pause = max(PAUSES[attempt - 1], asked)
            attempt += 1
            logger.warning(
                f"{what}: {_said(error)}; attempt {attempt} of {len(PAUSES) + 1} in {pause:g} s"
            )
        time.sleep(pause)


def _may_pass(error: Exception) -> bool:
    match error:
        case HfHubHTTPError():
            return error.response.status_code in (408, 429) or error.response.status_code >= 500
        case _:
            return isinstance(error, (HTTPError, WrongContentError))


def _asked_pause(error: Exception) -> float:
    """Return the seconds that the hub asks to wait: as Retry-After, or in its RateLimit."""
    if not isinstance(error, HfHubHTTPError):
        return 0
    headers = error.response.headers
    asked = headers.get("Retry-After", "")
    if asked.isdecimal():
        return int(asked)
    if date := parsedate_tz(asked):
        return max(0, mktime_tz(date) - time.time())
    limit = parse_ratelimit_headers(headers)
    return limit.reset_in_seconds if limit and limit.remaining == 0 else 0


def _tree(api: HfApi, repo: str, commit: str) -> Iterator[RepoFile]:
    """List the files of a data set.

    The client's ``list_repo_tree`` would wait for ever for a hub that says nothing.
    """
    place = f"{api.endpoint}/api/datasets/{repo}/tree/{quote(commit, safe='')}?recursive=true"
    url: str | None = place
    while url:
        entries, url = persist(f"the files of {repo!r}", partial(_page, url))
        yield from (RepoFile(**entry) for entry in entries if entry["type"] == "file")


def _page(url: str) -> tuple[list[dict[str, Any]], str | None]:
    response = get_session().get(url, headers=build_hf_headers(), timeout=LISTING_STALL)
    hf_raise_for_status(response)
    return response.json(), response.links.get("next", {}).get("url")


def _verified(path: Path, file: RepoFile) -> str | None:
    """Return the sha256 if size and hash are as the hub states them, else None.

    The hub states a sha256 for large files and a git blob id for the others.
    """
    size = path.stat().st_size
    sha256 = hashlib.sha256()
    blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(2**20):
            sha256.update(chunk)
            blob.update(chunk)
    if file.lfs is None:
        whole = blob.hexdigest() == file.blob_id
    else:
        whole = sha256.hexdigest() == file.lfs.sha256
    return sha256.hexdigest() if whole and size == file.size else None


def _record(file: RepoFile, sha256: str) -> dict[str, str | int]:
    return {"path": file.path, "size": file.size, "sha256": sha256}


def _reason(error: FetchError | OSError) -> str:
    """Say what went wrong and what would help, in one line."""
    match error.__cause__:
        case GatedRepoError():
            return "access is gated; accept its terms on the hub and set HF_TOKEN"
        case RepositoryNotFoundError():
            return "not found, or private; check the name, and set HF_TOKEN if it is private"
        case RevisionNotFoundError():
            return "no such revision; check source.revision"
        case OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE is set; unset it"
        case HFValidationError() as fault:
            return f"{shorten(str(fault), 200)}; correct source.repo"
        case HfHubHTTPError() as fault if _asked_pause(fault) > LONGEST_PAUSE:
            return f"{error}; run again then"
        case HfHubHTTPError() as fault if not _may_pass(fault):
            return f"{error}; check source.repo, source.revision and HF_TOKEN"
        case WrongContentError():
            return f"{error}; run again later"
        case _:
            return f"{error}; check network and disk and run again, a broken transfer is continued"


def _said(error: BaseException) -> str:
    match error:
        case HfHubHTTPError():
            asked = _asked_pause(error)
            return (
                f"status {error.response.status_code}"
                + (f" {shorten(error.server_message, 100)}" if error.server_message else "")
                + (f" with a demand to wait {asked:.0f} s" if asked else "")
            )
        case WrongContentError():
            return str(error)
        case LocalEntryNotFoundError(__cause__=BaseException() as cause):
            return _said(cause)
        case _:
            return shorten(f"{type(error).__name__} {error}", 200, placeholder=" ...")
