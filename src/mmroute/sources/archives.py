"""Safe unpacking: an archive is data from elsewhere and may be hostile."""

import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from textwrap import shorten

from mmroute.errors import InputError

# Far above any release (10,370 images, a few GB), far below what fills a disk for good.
MAX_MEMBERS = 1_000_000
MAX_BYTES = 200 * 2**30


def leaves_folder(name: str) -> bool:
    """Tell whether a path, taken from a folder, would lead out of it by what it spells."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a ``.tar.gz`` of plain files into ``folder``, which it replaces.

    ``folder`` appears only when every member is unpacked. Members may be
    folders, files and hard links to members.

    Parameters
    ----------
    archive
        The archive.
    folder
        Where its members go.

    Raises
    ------
    InputError
        If a member would leave ``folder``, is a symbolic link, a device or a
        pipe, if there are more than ``MAX_MEMBERS`` or they unpack to more than
        ``MAX_BYTES``, or if the archive cannot be read to its end.
    """
    with _replacing(folder) as partial:
        try:
            with tarfile.open(archive, "r:gz") as members:
                total = 0
                for count, member in enumerate(members, start=1):
                    total += member.size
                    if count > MAX_MEMBERS or total > MAX_BYTES:
                        raise InputError(
                            f"{archive}: more than {MAX_MEMBERS} members or {MAX_BYTES} bytes "
                            f"at member {member.name!r}; unpack it yourself if you trust it"
                        )
                    _check(member, archive)
                    members.extract(member, partial, filter="data")
        except (OSError, EOFError, KeyError, zlib.error, tarfile.TarError) as error:
            raise InputError(
                f"{archive}: not readable as tar.gz ({shorten(str(error), 200)}); "
                "delete it and fetch it again"
            ) from error


def _check(member: tarfile.TarInfo, archive: Path) -> None:
    # Symbolic links are refused even where they stay inside: a chain of them can be
    # made to leave, and a folder of images needs none.
    if leaves_folder(member.name) or (member.islnk() and leaves_folder(member.linkname)):
        fault = "would leave its folder"
    elif not (member.isfile() or member.isdir() or member.islnk()):
        fault = "is a symbolic link, a device or a pipe"
    else:
        return
    raise InputError(
        f"{archive}: member {member.name!r} {fault}; nothing was unpacked, use another archive"
    )


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty sibling that takes the folder's name on success only."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
