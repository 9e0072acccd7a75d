"""A full disk, results that may not be written, and two runs at once: what becomes of a run."""

import ctypes
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from small_run import NotSurvived, Run, Tally, Undisturbed

STEPS = {
    "the start": ("*",),
    "embedding": ("embeddings", "features", "routers", "tables", "decision.csv"),
    "training": ("routers", "tables", "decision.csv"),
}
"""What is not written yet in the results when a step begins, wherever it lies there."""
RULES = {"embedding": "embed", "training": "train"}
DISK = "64m"
NEW_MOUNTS, NEW_USER = 0x00020000, 0x10000000
"""The kernel's flags for namespaces."""
COLD = Path(sys.executable)
"""A Python that sees the mounts of who starts it, as one that is warm does not."""
READ_ONLY = "Read-only file system|Write-protected output files"
OURS = re.compile(r'File "[^"]*/(src/mmroute|workflow/(rules|scripts)|\.snakemake/scripts)/')


class NotTried(Exception):
    """Why a fault cannot be made here."""


@dataclass(frozen=True)
class Case:
    """A kind of fault, a word on this one, and how it happens to a run in a new folder."""

    kind: str
    what: str
    happen: Callable[[Path, Undisturbed], None]

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


def mounting(action: Callable[..., None]) -> Callable[..., None]:
    """Make an action run in a process of its own that may mount; its mounts are seen by it alone.

    That takes no root, where the kernel lets users have namespaces. It raises what the action
    raises, and NotTried where nothing can be mounted.
    """

    @wraps(action)
    def apart(*arguments: Any, **named: Any) -> None:
        def body(sender: Connection) -> None:
            try:
                _take_mounts()
                action(*arguments, **named)
            except Exception as error:
                sender.send(error)
            finally:
                sender.close()

        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=body, args=(sender,))
        process.start()
        sender.close()
        try:
            error = receiver.recv()
        except EOFError:
            error = None
        process.join()
        if error is not None:
            raise error
        if process.exitcode:
            raise NotSurvived(f"the process has ended with {process.exitcode}")

    return apart


def _take_mounts() -> None:
    """Leave for a namespace of mounts, as its root; raise NotTried if that is not permitted."""
    user, group = os.geteuid(), os.getegid()
    own = NEW_USER if user else 0
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS | own):
        reason = os.strerror(ctypes.get_errno())
        raise NotTried(f"this system lets {'users' if user else 'root'} mount nothing ({reason})")
    try:
        if user:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        mount("--make-rslave", "/")
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotTried(f"this system lets nothing be mounted ({error})") from error


@contextmanager
def small_disk(folder: Path, size: str = DISK) -> Iterator[None]:
    """Mount a small disk at a folder, in an action that is ``mounting``."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        mount("-t", "tmpfs", "-o", f"size={size}", "none", folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotTried(f"no disk can be mounted here ({error})") from error
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def mount(*arguments: str | Path) -> None:
    """Call the command."""
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


def remount(option: str, folder: Path) -> None:
    """Change an option of a small disk."""
    # As listed, its owner has no number in the namespace that it belongs to.
    mount("--options-mode", "ignore", "-o", f"remount,{option}", "none", folder)


def begun(folder: Path, whole: Undisturbed, step: str) -> Run:
    """Return a run that has come as far as a step."""
    run = whole.copy(folder)
    shutil.copytree(
        whole.run.results, run.results, ignore=shutil.ignore_patterns(*STEPS[step]), symlinks=True
    )
    shutil.copytree(whole.run.folder / ".snakemake", folder / ".snakemake")
    return run


def check_told(process: subprocess.Popen[str], clear: str) -> None:
    """Raise NotSurvived unless a run ends with an error that says it clearly."""
    said = process.communicate()[1]
    if process.returncode == 0:
        raise NotSurvived("ended well, where it must not")
    check_clear(said, clear)


def check_clear(said: str, clear: str) -> None:
    """Raise NotSurvived unless it is said clearly, and without a traceback of this project."""
    if not re.search(clear, said):
        raise NotSurvived(f"does not say {clear!r}: {said[-4000:]}")
    if "Traceback (most recent call last)" in said and OURS.search(said):
        raise NotSurvived(f"a traceback: {said[-4000:]}")


def full(step: str, room: int) -> Case:
    """Leave some bytes of room on the disk of the results when a step begins, then make room."""
    clear = rf"No space left on device(.|\n)*Error in rule {RULES[step]}"
    what = f"{room:,} bytes left when it begins"
    return Case(f"disk of the results full, {step}", what, filling("results", step, room, clear))


def all_full(room: int) -> Case:
    """Do so with a disk that the checkout is on, and all that Snakemake itself writes."""
    happen = filling(".", "embedding", room, "No space left on device")
    return Case("disk of everything full", f"{room:,} bytes left before embedding", happen)


def filling(disk: str, step: str, room: int, clear: str) -> Callable[[Path, Undisturbed], None]:
    """Return what fills the disk that a folder of a run is on, and empties it."""

    @mounting
    def happen(folder: Path, whole: Undisturbed) -> None:
        with small_disk(folder / disk):
            run = begun(folder, whole, step)
            run.python = COLD
            ballast = folder / disk / "ballast"
            free = os.statvfs(folder / disk)
            ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - room))
            check_told(run.start(), clear)
            whole.check_whole(run)
            ballast.unlink()
            whole.check_finished(run)

    return happen


def at_once(folder: Path, whole: Undisturbed) -> None:
    """Start a run again while it runs."""
    run = begun(folder, whole, "embedding")
    first = run.start()
    while first.poll() is None and not any(folder.glob(".snakemake/locks/*")):
        time.sleep(0.01)
    try:
        check_told(run.start(), "Directory cannot be locked")
    finally:
        said = first.communicate()[1]
    if first.returncode:
        raise NotSurvived(f"the first run is disturbed: {said[-4000:]}")
    if "Nothing to be done" not in run.finish():
        raise NotSurvived("the first run has left something to do")
    whole.check_finished(run)


def shared(step: str, later: float) -> Case:
    """Start two runs in folders of their own, seconds apart, whose results are one folder."""

    def happen(folder: Path, whole: Undisturbed) -> None:
        first, second = (begun(folder / name, whole, step) for name in ("first", "second"))
        shutil.rmtree(second.folder / "results")
        (second.folder / "results").symlink_to(first.folder / "results")
        earlier = first.start()
        time.sleep(later)
        processes = [earlier, second.start()]
        said = [process.communicate()[1] for process in processes]
        for process, told in zip(processes, said, strict=True):
            if process.returncode:
                check_clear(told, r"(?is)(error|exception)\b.*?\bresults/")
        for run in (first, second):
            whole.check_finished(run)

    return Case("results shared by two runs", f"from {step}, {later:g} s apart", happen)


def read_only(step: str) -> Case:
    """Make the results read-only when a step begins, then writable again."""

    @mounting
    def happen(folder: Path, whole: Undisturbed) -> None:
        with small_disk(folder / "results"):
            run = begun(folder, whole, step)
            run.python = COLD
            remount("ro", folder / "results")
            check_told(run.start(), READ_ONLY)
            remount("rw", folder / "results")
            whole.check_finished(run)

    return Case("read-only results", f"from {step}", happen)


CASES = [
    *(full("embedding", room) for room in (0, 4_096, 8_192, 16_384)),
    *(full("training", room) for room in (0, 4_096, 12_288, 20_480)),
    *map(all_full, (0, 20_000, 100_000)),
    *map(read_only, STEPS),
    Case("the same run twice at once", "from embedding", at_once),
    *(shared("the start", later) for later in (0, 1, 2, 4)),
    shared("training", 0),
]


def examine(case: Case, folder: Path, whole: Undisturbed) -> Tally:
    """Let a case happen and count it; the folder is made and removed."""
    try:
        case.happen(folder, whole)
        return Tally(1, 1)
    except NotTried as reason:
        return Tally(0, 0, (f"NOT TRIED: {case}: {reason}",))
    except NotSurvived as error:
        return Tally(1, 0, (f"{case}: {error}",))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
