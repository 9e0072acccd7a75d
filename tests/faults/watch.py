"""Attempts on the program, each in a process of its own that is watched.

What is watched: programs that are started and connections that are opened (by audit events, in
every Python process of the attempt), a server that notes whatever arrives, all files around, time,
memory, processes that are left, and what is said at the end.
"""

import ctypes
import gc
import json
import os
import re
import resource
import signal
import socketserver
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutations import Outcome

LOG, WRITABLE = "MMROUTE_WATCH_LOG", "MMROUTE_WATCH_WRITABLE"
"""Environment variables: where a watched process notes events, and where it may write."""
SECRET_VARIABLE, SECRET = "CANARY_SECRET", "canary-5f1d-never-to-be-told"
SAID_AT_MOST = 1_000_000
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = {
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.link": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.utime": (0,),
}
"""Audit events that change files, with the arguments that are paths."""
STARTING = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn", "os.startfile"}
_DIE_WITH_PARENT, _ADOPT = 1, 36
"""What Linux calls PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER."""
HARMLESS_DEVICES = ("/dev/null", "/dev/tty", "/proc/self/", "/dev/shm/")


class NotMade(Exception):
    """An attempt that failed before the program was asked anything."""


@dataclass(frozen=True)
class Place:
    """The folders of one attempt.

    Attributes
    ----------
    root
        All of them lie in it; outside of ``temporary`` and ``writable`` nothing may change.
    writable
        Where the attempt may write.
    """

    root: Path
    writable: tuple[Path, ...] = ()

    @property
    def work(self) -> Path:
        """The working folder."""
        return self.root / "work"

    @property
    def home(self) -> Path:
        """The home folder."""
        return self.root / "home"

    @property
    def temporary(self) -> Path:
        """The folder of temporary files, which has to be empty in the end."""
        return self.root / "temporary"

    @property
    def canary(self) -> Path:
        """A file that is there if a program of the attempt ran."""
        return self.root / "canary"

    def make(self) -> None:
        """Make all folders."""
        for folder in (self.work, self.home, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)

    def listing(self) -> dict[str, tuple[int, ...]]:
        """Return mode, size and time of change of all that has to stay as it is."""
        listed = {}
        free = {self.temporary, *self.writable}
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if Path(folder, name) not in free]
            for path in (Path(folder, name) for name in [*folders, *names]):
                status = path.lstat()
                size = () if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns)
                listed[str(path.relative_to(self.root))] = (status.st_mode, *size)
        return listed


@dataclass(frozen=True)
class Ended:
    """How a watched process ended.

    Attributes
    ----------
    code
        Exit code, negative for a signal; None if it was ended for its time.
    said, complained
        What it wrote to the standard output and error.
    misdeeds
        What it did that nothing of a stranger may do; empty if all is well.
    seconds, more_bytes
        The time that it took, and its memory beyond that at the start.
    """

    code: int | None
    said: str
    complained: str
    misdeeds: tuple[str, ...]
    seconds: float
    more_bytes: int

    def refusal(self) -> str | None:
        """Return the one line of a refusal, None if it ended otherwise."""
        line = self.complained.removesuffix("\n")
        plain = not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", line)
        if self.code and self.code > 0 and line.startswith("error: ") and plain:
            return line if len(line) < 4000 and not self.said else None
        return None

    def told(self) -> str:
        """Return what is seen of the end, for a message."""
        end = "was ended for its time" if self.code is None else f"exit code {self.code}"
        tail = (self.complained or self.said)[-1500:]
        return f"{end} after {self.seconds:.1f} s: {' | '.join(tail.splitlines()[-6:])!r:.900}"


# -- In the watched process ---------------------------------------------------------------


def note_events() -> None:
    """Note from now on what this process does that a stranger's file must not make it do."""
    log = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    writable = tuple(os.environ[WRITABLE].split(os.pathsep))

    def outside(path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        # Not resolved: a link is followed by whoever opens it, and the listing tells.
        absolute = os.path.normpath(Path.cwd() / os.fsdecode(path))
        return not absolute.startswith((*HARMLESS_DEVICES, *writable))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        wrong = None
        if event == "open":
            path, mode, flags = arguments
            writes = flags & WRITING if isinstance(flags, int) else mode and set(mode) & set("wax+")
            if writes and outside(path):
                wrong = f"opened {os.fsdecode(path)!r} to write"
        elif event in CHANGING:
            changed = [arguments[index] for index in CHANGING[event] if outside(arguments[index])]
            # A name that is relative to an open folder says nothing; the listing tells.
            if changed and not (isinstance(arguments[-1], int) and arguments[-1] >= 0):
                wrong = f"{event} of {changed!r:.200}"
        elif event in STARTING:
            wrong = f"started a program: {event} {arguments!r:.200}"
        elif event == "subprocess.Popen":
            command = arguments[1]
            first = os.fsdecode(command[0] if isinstance(command, list | tuple) else command)
            if os.path.realpath(first) != os.path.realpath(sys.executable):
                wrong = f"started a program: {command!r:.200}"
        elif event in ("socket.connect", "socket.sendto"):
            if isinstance(arguments[1], tuple):
                wrong = f"connected to {arguments[1]!r:.200}"
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            wrong = f"looked up {arguments[0]!r:.200}"
        if wrong is not None:
            os.write(log, (" ".join(wrong.split()) + "\n").encode(errors="replace"))
            if event.startswith("socket.") and "127.0.0.1" not in wrong:
                raise PermissionError(f"no network here: {wrong}")

    sys.addaudithook(hook)


HOOK = """
import sys
sys.path.append({folder!r})
from watch import note_events
note_events()
sys.path.remove({folder!r})
"""


def command_line(arguments: list[str]) -> Callable[[], None]:
    """Return what runs ``mmroute`` with arguments, as from a shell."""

    def run() -> None:
        from mmroute.cli import app

        sys.argv = ["mmroute", *arguments]
        app()

    return run


# -- The watcher --------------------------------------------------------------------------


class Watch:
    """Runs attempts in forks of this process, which has to have one thread only.

    Parameters
    ----------
    folder
        For its own notes.
    seconds, more_bytes
        What an attempt may take: wall time, and memory beyond that of this process.
    """

    def __init__(self, folder: Path, seconds: float, more_bytes: int) -> None:
        self.folder, self.seconds, self.more_bytes = folder, seconds, more_bytes
        hooks = folder / "hooks"
        hooks.mkdir(parents=True)
        hook = HOOK.format(folder=str(Path(__file__).parent))
        (hooks / "sitecustomize.py").write_text(hook)
        self.path = os.pathsep.join(
            [str(hooks), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        )
        self.arrived, self.log = folder / "arrived", folder / "events"
        self.arrived.touch()
        self.port, self._server = serve(self.arrived)
        # A collection in a fork would copy all that is there already.
        gc.collect()
        gc.freeze()
        # What outlives its parent becomes a child of this process, and is found.
        ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)

    @property
    def address(self) -> str:
        """The server that notes what arrives."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop the server."""
        os.kill(self._server, signal.SIGKILL)
        os.waitpid(self._server, 0)

    def environment(self, place: Place) -> dict[str, str]:
        """Return all that a watched process finds in its environment."""
        proxies = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        return {
            **dict.fromkeys(proxies, self.address),
            "HF_ENDPOINT": self.address,
            "HF_HOME": str(place.home / "hf"),
            "HOME": str(place.home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": self.path,
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(place.temporary),
            "TQDM_DISABLE": "1",
            "OMP_NUM_THREADS": "1",
            SECRET_VARIABLE: SECRET,
            LOG: str(self.log),
            WRITABLE: os.pathsep.join(map(str, (place.temporary, *place.writable))),
        }

    def watch(self, place: Place, action: Callable[[], None]) -> Ended:
        """Run an action in a fork, in a place that is made; return how it ended."""
        before, arrived = place.listing(), self.arrived.stat().st_size
        self.log.write_bytes(b"")
        streams = [self.folder / "said", self.folder / "complained"]
        start_bytes = _resident()
        start = time.monotonic()
        process = os.fork()
        if process == 0:
            self._become(place, streams, action)
        code, peak = self._wait(process, start + self.seconds)
        seconds = time.monotonic() - start
        misdeeds = self._left(process) + self.log.read_text(errors="replace").splitlines()
        if len(content := self.arrived.read_bytes()[arrived:]):
            misdeeds.append(f"the network was reached: {content[:200]!r}")
        after = place.listing()
        changed = sorted(path for path in before | after if before.get(path) != after.get(path))
        if changed:
            misdeeds.append(f"changed: {', '.join(changed)!r:.300}")
        if place.canary.exists():
            misdeeds.append("a program of the stranger's ran")
        if left := sorted(path.name for path in place.temporary.iterdir()):
            misdeeds.append(f"left in the folder of temporary files: {', '.join(left)!r:.200}")
        said, complained = (_head(stream) for stream in streams)
        if SECRET in said + complained + content.decode(errors="replace"):
            misdeeds.append("the secret was told")
        more_bytes = max(0, peak - start_bytes)
        if code is None:
            misdeeds.append(f"hung for more than {self.seconds} s")
        elif more_bytes > self.more_bytes:
            misdeeds.append(f"took {more_bytes:,} bytes")
        elif code < 0:
            misdeeds.append(f"died of {signal.Signals(-code).name}")
        return Ended(code, said, complained, tuple(misdeeds), seconds, more_bytes)

    def _become(self, place: Place, streams: list[Path], action: Callable[[], None]) -> None:
        code = 1
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            for number, stream in enumerate([Path(os.devnull), *streams]):
                flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
                os.dup2(os.open(stream, os.O_RDONLY if number == 0 else flags), number)
            environment = self.environment(place)
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(place.work)
            tempfile.tempdir = None
            # Memory that is never touched counts here too.
            limit = _address_space() + 4 * self.more_bytes
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**31, 2**31))
            note_events()
            try:
                action()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
            gc.collect()
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code & 0xFF)

    def _wait(self, process: int, until: float) -> tuple[int | None, int]:
        while True:
            ended, status, used = os.wait4(process, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024
            if time.monotonic() > until:
                os.killpg(process, signal.SIGKILL)
                used = os.wait4(process, 0)[2]
                return None, used.ru_maxrss * 1024
            time.sleep(0.005)

    def _left(self, process: int) -> list[str]:
        """End what the attempt has left running; say so."""
        left = []
        until = time.monotonic() + 1
        # Descendants that were waited for by nobody; those that still run get a second to end.
        while others := [child for child in _children() if child != self._server]:
            for child in others:
                if time.monotonic() > until:
                    left.append(f"left a process running: {_command(child)!r:.200}")
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                else:
                    os.waitpid(child, os.WNOHANG)
            time.sleep(0.005)
        return left


def _children() -> list[int]:
    own = os.getpid()
    return [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]


def _command(process: int) -> str:
    return (
        Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    )


def _head(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(SAID_AT_MOST).decode(errors="replace")


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


# -- The server ---------------------------------------------------------------------------


def serve(arrived: Path) -> tuple[int, int]:
    """Start a server in a process of its own that notes what arrives; return port and process.

    It answers as a chat model would, or, by what stands in the path, with an answer that is
    late (``drip``), large (``flood``), nested (``deep``), of too many digits (``digits``),
    elsewhere (``redirect``) or no JSON (``binary``).
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    server.arrived = arrived
    process = os.fork()
    if process == 0:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        try:
            server.serve_forever()
        finally:
            os._exit(0)
    port = server.server_address[1]
    server.socket.close()
    return port, process


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    arrived: Path


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.settimeout(2)
        content = b""
        try:
            while len(content) < 2**16 and b"\r\n\r\n" not in content:
                if not (piece := self.request.recv(2**16)):
                    break
                content += piece
        except OSError:
            content = content or b"(a connection)"
        with self.server.arrived.open("ab") as stream:
            stream.write(content + b"\n")
        path = content.split(b" ")[1] if content.count(b" ") > 1 else b""
        try:
            self._answer(path.decode(errors="replace"))
        except OSError:
            return

    def _answer(self, path: str) -> None:
        kind = next((kind for kind in _ANSWERS if kind in path), "chat")
        status, body = _ANSWERS[kind]
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        if kind == "redirect":
            head += "Location: http://127.0.0.1:1/elsewhere\r\n"
        self.request.sendall(f"{head}\r\n".encode() + body[: 10**5])
        if kind == "drip":
            for _ in range(600):
                self.request.sendall(b" ")
                time.sleep(0.5)
        if kind == "flood":
            for _ in range(10_000):
                self.request.sendall(b" " * 10**6)


_ANSWERS = {
    "drip": ("200 OK", b" "),
    "flood": ("200 OK", b" "),
    "deep": ("200 OK", b"[" * 10**5),
    "digits": ("200 OK", b'{"choices": ' + b"9" * 10**4 + b"}"),
    "redirect": ("307 Temporary Redirect", b""),
    "binary": ("200 OK", bytes(range(256))),
    "chat": (
        "200 OK",
        json.dumps(
            {
                "choices": [{"message": {"content": '{"model": 1}'}}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2},
            }
        ).encode(),
    ),
}


# -- Many attempts ------------------------------------------------------------------------


def outcomes(script: Path, seeds: Iterable[int]) -> Iterator[Outcome]:
    """Examine the attempts of some seeds by a script, in a process of its own.

    The script answers each seed with a line of JSON; see ``answer``.
    """
    command = [sys.executable, str(script), "--worker", *map(str, seeds)]
    environment = os.environ | {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        for line in process.stdout:
            yield Outcome(*json.loads(line))
    if process.returncode:
        raise RuntimeError(f"{script.name} ended with {process.returncode}")


def answer(examine: Callable[[int], Outcome], seeds: Iterable[int]) -> None:
    """Print the outcomes of some seeds as lines of JSON."""
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for seed in seeds:
        stream.write(json.dumps(examine(seed)) + "\n")
        stream.flush()


def in_fork(action: Callable[[], Any]) -> None:
    """Run an action in a fork, as this process must not compute: its threads would not survive.

    Raises NotMade, with the action's traceback, if it fails.
    """
    receiver, sender = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            action()
        except BaseException:
            os.write(sender, traceback.format_exc()[-3000:].encode(errors="replace"))
        finally:
            os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as stream:
        wrong = stream.read().decode(errors="replace")
    if os.waitpid(process, 0)[1] or wrong:
        raise NotMade(wrong or "the fork was killed")
