"""Safe unpacking: an archive is data from elsewhere and may be hostile."""

import gzip
import os
import tarfile
from pathlib import Path
from textwrap import shorten
from typing import IO, cast

from mmroute.confined import reading
from mmroute.errors import InputError, raise_disk_fault
from mmroute.storage import atomic_folder, leaves_folder

# Far above any release (10,370 images, a few GB), far below what fills a disk for good.
MAX_MEMBERS = 1_000_000
MAX_BYTES = 200 * 10**9
MAX_DEPTH = 64
HEADER_BYTES = 2**18
"""Of a member's headers: its name, and what an archiver adds."""


def unpack(
    archive: Path, folder: Path, max_members: int = MAX_MEMBERS, max_bytes: float = MAX_BYTES
) -> None:
    """Unpack a ``.tar.gz`` of plain files into ``folder``, which it replaces.

    ``folder`` appears only when every member is unpacked. Members may be
    folders, files and hard links to members. Memory does not grow with the archive.

    Parameters
    ----------
    archive
        The archive.
    folder
        Where its members go.
    max_members, max_bytes
        How many members it may have, and what they may unpack to; the config keys
        ``source.max_members`` and ``source.max_gigabytes``.

    Raises
    ------
    InputError
        If a member would leave ``folder`` or replace another, nests too deep, is a
        symbolic link, a device or a pipe, if the archive exceeds a limit, or if it
        cannot be read to its end. A limit is checked before anything is written.
    OSError
        If the disk is full, read-only or broken.
    """
    with reading(archive), atomic_folder(folder) as partial:
        try:
            with gzip.open(archive) as content:
                stream = _Bounded(content)
                # It reads, tells and seeks; typeshed wants all that a file can do.
                with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:") as members:
                    count, total = 0, 0
                    while member := _next(members, stream):
                        count, total = count + 1, total + member.size
                        _check(member, archive, partial)
                        if count > max_members:
                            raise _exceeds(archive, f"{max_members:,} members", "max_members")
                        if total > max_bytes:
                            raise _exceeds(archive, f"{max_bytes / 1e9:g} GB", "max_gigabytes")
                        stream.allowance = member.size
                        # A large archive has its time for each member.
                        with reading(archive):
                            members.extract(member, partial, filter="data")
                    stream.seek(members.offset)
                    _check_rest(content)
        except (InputError, MemoryError):
            raise
        # A hostile header reaches code that raises anything, from OverflowError to
        # RecursionError.
        except Exception as error:
            raise_disk_fault(error, folder)
            reason = shorten(str(error), 200, placeholder=" ...")
            raise InputError(
                f"{archive}: not readable as tar.gz ({reason}); delete it and fetch it again"
            ) from error


class _Bounded:
    """A stream that hands out only so many bytes.

    What comes before a member, such as its long name, is read into memory as a
    whole, and the archive says how long it is.
    """

    def __init__(self, stream: gzip.GzipFile) -> None:
        self.allowance = HEADER_BYTES
        self.tell, self.seek = stream.tell, stream.seek
        self._stream = stream

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.allowance:
            raise tarfile.ReadError(f"a header of more than {HEADER_BYTES} bytes")
        self.allowance -= size
        return self._stream.read(size)


def _next(members: tarfile.TarFile, stream: _Bounded) -> tarfile.TarInfo | None:
    stream.allowance = HEADER_BYTES
    member = members.next()
    # They would be kept to the end, and with them what their headers say.
    members.members.clear()  # type: ignore[attr-defined]
    members.pax_headers = {}
    return member


def _check(member: tarfile.TarInfo, archive: Path, folder: Path) -> None:
    # Symbolic links are refused even where they stay inside: a chain of them can be
    # made to leave, and a folder of images needs none.
    if leaves_folder(member.name) or (member.islnk() and leaves_folder(member.linkname)):
        fault = "would leave its folder"
    elif not (member.isfile() or member.isdir() or member.islnk()):
        fault = "is a symbolic link, a device or a pipe"
    elif member.size < 0:
        fault = f"has the size {member.size}"
    elif member.name.count("/") > MAX_DEPTH:
        fault = f"lies in more than {MAX_DEPTH} folders"
    # Asked of the disk, which knows best which spellings are one file to it.
    elif not member.isdir() and os.path.lexists(folder / member.name):
        fault = "would replace another"
    else:
        return
    name = shorten(repr(member.name), 200, placeholder=" ...")
    raise InputError(f"{archive}: member {name} {fault}; nothing was unpacked, use another archive")


def _exceeds(archive: Path, limit: str, key: str) -> InputError:
    return InputError(
        f"{archive}: more than {limit}; nothing was unpacked, raise source.{key} if you trust it"
    )


def _check_rest(content: gzip.GzipFile) -> None:
    """Read what follows the last member, so that the checksum is verified too."""
    while rest := content.read(2**16):
        if rest.strip(b"\0"):
            raise tarfile.ReadError("a damaged header, or something behind the end")
