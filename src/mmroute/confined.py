"""Work on files that others made, in a process of its own with limits on memory and time.

A file may be made to take all memory, to run for ever, or to end the process from within
a decoder. So whatever reads one does so in a child, which says what it reads as it goes on.
Where the child does not end well, the process that started it says so in one line, with the
file's name and the config key that allows more, and removes what was left half-written.
"""

import ctypes
import errno
import faulthandler
import mmap
import os
import pickle
import select
import shutil
import signal
import stat
import struct
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mmroute.errors import InputError

# Not where there is none, and at hand when memory has ended.
with suppress(ImportError):
    import resource

_PLACES, _LONGEST_PATH = 256, 4096
_NOTE = struct.Struct("<dHB")
"""Of a place on the board: when the note was made, the path's length, and what it is about."""
_PLACE = _NOTE.size + _LONGEST_PATH
_LAST, _READ, _WRITTEN = 0, 1, 2
_RESERVE = 100 * 10**6
"""Bytes above the limit to word the message with that it was reached."""
_DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux."""
_NO_MEMORY = 127
"""Exit code of the C library where it has none for a thread, and of a child that has none to
say so."""
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}

_Result = TypeVar("_Result")


class Limits(NamedTuple):
    """What reading may take: the keys of the config's ``limits``.

    Attributes
    ----------
    gigabytes
        Memory of the process, in GB.
    seconds
        Time for each file.
    keys
        What raises the one and the other.
    """

    gigabytes: float
    seconds: float
    keys: tuple[str, str] = ("limits.gigabytes", "limits.seconds")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Note which file this thread reads, and so give it its time; refuse what is no file.

    Within another one the inner file counts, and behind it the outer one has its time anew.
    A file that is not there is left to whoever opens it.

    Raises
    ------
    InputError
        If ``path`` is a pipe, a socket, a device or a folder, or if the memory ends.
    """
    _require_regular(path)
    with _noted(path, _READ), _within_memory(path):
        yield


@contextmanager
def working_on(path: Path) -> Iterator[None]:
    """Note what this thread works on beyond one file, as ``reading`` does; it may be a folder.

    Raises
    ------
    InputError
        If the memory ends, or if what was read nests too deep.
    """
    with _noted(path, _READ), _within_memory(path):
        try:
            yield
        except RecursionError as error:
            raise InputError(f"{path}: nests too deep to be read; give plain data") from error


@contextmanager
def _within_memory(path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise _too_large(path) from error
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise _too_large(path) from error
        raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Note a file or folder that is to be removed should this process not come to do so."""
    with _noted(path, _WRITTEN):
        yield


def confined(work: Callable[[], _Result], limits: Limits) -> _Result:
    """Return what ``work`` returns, or raise what it raises, from a child with limits.

    What it returns has to be picklable. Warnings arrive as they were; what it logs and
    prints is logged and printed by the child.

    Raises
    ------
    InputError
        If the child exceeds a limit or is ended by a signal.
    """
    board = _Board()
    receiver, sender = os.pipe()
    pid = _fork()
    if pid == 0:
        os.close(receiver)
        _answer(work, sender, board, limits)
    os.close(sender)
    code, answer = _watch(pid, receiver, board, limits)
    if code or not answer:
        raise RuntimeError(f"a process that read data ended with exit code {code}")
    returned, outcome, caught = pickle.loads(answer)
    for warning in caught:
        warnings.warn_explicit(*warning)
    if not returned:
        raise outcome
    return outcome


def go_on_confined(limits: Limits) -> None:
    """Return in a child with limits; the process that calls this ends when the child does.

    It ends with the child's exit code, by SystemExit.

    Raises
    ------
    InputError
        In the process that calls this, if the child exceeds a limit or is ended by a signal.
    """
    board = _Board()
    receiver, sender = os.pipe()
    pid = _fork()
    if pid == 0:
        # The sender stays open until this process has ended, which is what the other waits for.
        os.close(receiver)
        _restrict(board, limits)
        return
    os.close(sender)
    sys.exit(_watch(pid, receiver, board, limits)[0])


def out_of_memory() -> InputError:
    """Return the error for memory that ended outside of any ``reading``."""
    return _too_large(_here.board.last() if _here.board else None)


class _Board:
    """Memory that two processes share: what one reads and writes, and since when."""

    def __init__(self) -> None:
        self.watcher = os.getpid()
        self._memory = mmap.mmap(-1, _PLACES * _PLACE)
        self._free = list(range(_PLACES - 1))

    def note(self, path: bytes, kind: int) -> int | None:
        """Take a place for a note; None if there is none left."""
        try:
            place = self._free.pop()
        except IndexError:
            return None
        self._write(place, path, kind)
        return place

    def clear(self, place: int | None) -> None:
        """Give a place back, and remember what stood there as the last note."""
        if place is None:
            return
        start = place * _PLACE
        _, length, kind = _NOTE.unpack_from(self._memory, start)
        if kind == _READ:
            path = self._memory[start + _NOTE.size : start + _NOTE.size + length]
            self._write(_PLACES - 1, path, _LAST)
        self._memory[start : start + _NOTE.size] = bytes(_NOTE.size)
        self._free.append(place)

    def _write(self, place: int, path: bytes, kind: int) -> None:
        start = place * _PLACE + _NOTE.size
        self._memory[start : start + len(path)] = path
        _NOTE.pack_into(self._memory, start - _NOTE.size, time.monotonic(), len(path), kind)

    def notes(self, kind: int) -> list[tuple[float, Path]]:
        """Return when the notes of a kind were made and what they are about, in that order."""
        notes = []
        for start in range(0, _PLACES * _PLACE, _PLACE):
            since, length, noted = _NOTE.unpack_from(self._memory, start)
            if since and noted == kind:
                path = self._memory[start + _NOTE.size : start + _NOTE.size + length]
                notes.append((since, Path(os.fsdecode(path))))
        return sorted(notes)

    def last(self) -> Path | None:
        """Return what is read, or else was read last."""
        notes = self.notes(_READ) or self.notes(_LAST)
        return notes[-1][1] if notes else None

    def stalled(self) -> float:
        """Return the seconds since a file was begun or done, 0 while none is read."""
        current, done = self.notes(_READ), self.notes(_LAST)
        return time.monotonic() - max([*current, *done])[0] if current else 0.0


class _Here:
    """What this process is confined by, if it is."""

    board: _Board | None = None
    limits: Limits | None = None


_here = _Here()


@contextmanager
def _noted(path: Path, kind: int) -> Iterator[None]:
    board = _here.board
    if board is None:
        yield
        return
    place = board.note(os.fsencode(path)[:_LONGEST_PATH], kind)
    try:
        yield
    finally:
        board.clear(place)


def _require_regular(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise InputError(f"{path}: is {kind}, no regular file; put a file in its place")


def _too_large(path: Path | None) -> InputError:
    if _here.limits is None:
        return InputError(f"{_called(path)}: too little memory is left; give more, and run again")
    # Room to say so.
    _limit_memory(_RESERVE)
    return InputError(_beyond(_here.limits, path))


def _beyond(limits: Limits, path: Path | None) -> str:
    return (
        f"{_called(path)}: takes more than {limits.gigabytes:g} GB of memory to read; if you trust "
        f"it, raise {limits.keys[0]}"
    )


def _called(path: Path | None) -> str:
    return "the data" if path is None else str(path)


def _fork() -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with warnings.catch_warnings():
        # Threads of OpenBLAS and Arrow, which both start anew in a child.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _restrict(board: _Board, limits: Limits) -> None:
    """Take on the limits, and end when the process does that watches over them."""
    _here.board, _here.limits = board, limits
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != board.watcher:
        os._exit(1)
    # Where the system has no memory left, it is this process that it ends.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    # Of a death that is expected one line is enough.
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_memory(int(limits.gigabytes * 1e9), anew=True)


def _limit_memory(more: int, anew: bool = False) -> None:
    """Let this process have so many bytes more, or so many in all."""
    # Only what can be written to: address space is reserved by the gigabyte, for nothing.
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = more if anew else soft + more
    resource.setrlimit(
        resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
    )


def _answer(work: Callable[[], Any], sender: int, board: _Board, limits: Limits) -> None:
    """Do the work, send what becomes of it, and end this process."""
    code = 1
    try:
        _restrict(board, limits)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                returned, outcome = True, work()
            except MemoryError:
                returned, outcome = False, out_of_memory()
            except Exception as error:
                returned, outcome = False, error
                if not isinstance(error, InputError | OSError):
                    error.add_note(traceback.format_exc())
        told = [(said.message, said.category, said.filename, said.lineno) for said in caught]
        with os.fdopen(sender, "wb") as stream:
            stream.write(_pickled(returned, outcome, told))
        code = 0
    except KeyboardInterrupt:
        pass
    except MemoryError:
        code = _NO_MEMORY
    except BaseException:
        traceback.print_exc()
    finally:
        for standard in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                standard.flush()
        os._exit(code)


def _pickled(returned: bool, outcome: Any, told: list[tuple[Any, ...]]) -> bytes:
    """Pickle an answer; raise an outcome that cannot be pickled, or not be made again of it."""
    try:
        answer = pickle.dumps((returned, outcome, told))
        if not returned:
            pickle.loads(answer)
    except Exception as error:
        raise (error if returned else outcome) from error
    return answer


def _watch(pid: int, receiver: int, board: _Board, limits: Limits) -> tuple[int, bytes]:
    """Wait for a child; return its exit code and what it has sent.

    Raises InputError if it was ended by a signal or had to be. It is ended with this process,
    and what it was writing is removed unless it did so itself.
    """
    answer, ended, status = [], 0, 0
    try:
        with _ended_by_terminate():
            while not ended:
                ready, _, _ = select.select([receiver], [], [], min(1.0, limits.seconds / 10))
                part = os.read(receiver, 1 << 20) if ready else b""
                answer.append(part)
                if ready and not part:
                    ended, status = os.waitpid(pid, 0)
                elif not ready and board.stalled() > limits.seconds:
                    raise InputError(
                        f"{_called(board.last())}: not read after {limits.seconds:g} s; if you "
                        f"trust it, raise {limits.keys[1]}"
                    )
    finally:
        os.close(receiver)
        if not ended:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for _, path in board.notes(_WRITTEN):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    if os.WIFSIGNALED(status):
        raise InputError(_killed(os.WTERMSIG(status), board.last(), limits))
    code = os.waitstatus_to_exitcode(status)
    if code == _NO_MEMORY:
        raise InputError(_beyond(limits, board.last()))
    return code, b"".join(answer)


def _killed(number: int, path: Path | None, limits: Limits) -> str:
    name = signal.Signals(number).name
    why = (
        "as the system does where memory runs out"
        if number == signal.SIGKILL
        else "as damaged files and those that take too much memory can do"
    )
    return (
        f"{_called(path)}: reading it was ended by {name}, {why}; give a whole file, or, if you "
        f"trust it, raise {limits.keys[0]} and give the machine as much"
    )


@contextmanager
def _ended_by_terminate() -> Iterator[None]:
    """Let SIGTERM end the block as an exception, so that nothing outlives it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: Any) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
