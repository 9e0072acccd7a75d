"""Downloads from the Hugging Face hub: pinned, verified, and resumed where they broke off.

The hub's own client does the talking, so ``HF_ENDPOINT``, ``HF_HOME`` (the token
and the cache of earlier downloads), ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` hold as ever.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from textwrap import shorten

from huggingface_hub import HfApi, hf_hub_url, try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    # The root of the errors of whichever HTTP library this version of the client uses.
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers

from mmroute.errors import InputError
from mmroute.sources.archives import leaves_folder
from mmroute.storage import read_json, write_json

MANIFEST = "manifest.json"
PARALLEL_TRANSFERS = 8


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
    that the hub states. What a broken transfer brought stays in a hidden file
    and is continued by the next call; a file that is there already is verified
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
    """
    # The client itself reads the variable only once, when it is first imported.
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT", "").rstrip("/") or None)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        commit = api.dataset_info(repo, revision=revision, timeout=HF_HUB_ETAG_TIMEOUT).sha
        tree = api.list_repo_tree(repo, recursive=True, revision=commit, repo_type="dataset")
        files = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        chosen = [files[path] for path in choose(list(files))]
        with ThreadPoolExecutor(PARALLEL_TRANSFERS) as pool:
            land = partial(_land, api=api, repo=repo, commit=commit, folder=folder)
            records = list(pool.map(land, chosen))
    except InputError:
        raise
    except (HTTPError, OSError, ValueError) as error:
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
    _transfer(file, part, api, repo, commit)
    sha256 = _verified(part, file)
    if sha256 is None:
        size = part.stat().st_size
        part.unlink()
        raise InputError(
            f"source.repo: {file.path!r} of {repo!r} at {commit} came from {api.endpoint} with "
            f"{size} bytes and another hash than announced for its {file.size}; it was removed, "
            "run again or set source.path to a local copy"
        )
    part.replace(target)
    return _record(file, sha256)


def _transfer(file: RepoFile, part: Path, api: HfApi, repo: str, commit: str) -> None:
    """Append what ``part`` lacks.

    ``hf_hub_download`` would drop its partial file when it fails, so that a
    second run begins anew; the function it uses for the transfer can append.
    """
    cached = try_to_load_from_cache(repo, file.path, revision=commit, repo_type="dataset")
    if isinstance(cached, str):
        shutil.copyfile(cached, part)
        return
    with part.open("ab") as stream:
        http_get(
            hf_hub_url(
                repo, file.path, repo_type="dataset", revision=commit, endpoint=api.endpoint
            ),
            stream,
            resume_size=stream.tell(),
            headers=build_hf_headers(),
            expected_size=file.size,
            displayed_filename=file.path,
        )


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


def _reason(error: Exception) -> str:
    """Say what went wrong and what would help, in one line."""
    match error:
        case GatedRepoError():
            return "access is gated; accept its terms on the hub and set HF_TOKEN"
        case RepositoryNotFoundError():
            return "not found, or private; check the name, and set HF_TOKEN if it is private"
        case RevisionNotFoundError():
            return "no such revision; check source.revision"
        case OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE is set; unset it"
        case HFValidationError():
            return f"{shorten(str(error), 200)}; correct source.repo"
        case _:
            return (
                shorten(f"{type(error).__name__} {error}", 200, placeholder=" ...")
                + "; check network and disk and run again, a broken transfer is continued"
            )
