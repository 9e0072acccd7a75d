"""A Python that has the libraries in memory already, for tests that start it many times.

``python warm.py SOCKET`` imports them once and then waits; each program that ``client`` asks it
for runs in a process of its own, forked from it, as it would run in a new one. The package
itself is imported by each program, from wherever it finds it.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
import weakref
from pathlib import Path
from typing import NamedTuple, NoReturn

LIBRARIES = (
    "jinja2",
    "matplotlib.pyplot",
    "nbconvert",
    "papermill",
    "pyarrow.parquet",
    "pydantic",
    "scipy.optimize",
    "scipy.stats",
    "seaborn",
    "sklearn.cluster",
    "sklearn.ensemble",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.neighbors",
    "snakemake.cli",
    "snakemake_executor_plugin_slurm",
    "torch",
    "typer",
    "vl_convert",
)
MESSAGE = 1 << 17
CLIENT = """#!{python} -ISE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect({address!r})
    asked = {{"argv": sys.argv[1:], "here": os.getcwd(), "environment": dict(os.environ)}}
    socket.send_fds(server, [json.dumps(asked).encode()], [0, 1, 2])
    sys.exit(json.loads(server.recv(100)))
"""


class Program(NamedTuple):
    """A program that runs, and who has asked for it."""

    number: int
    descriptor: int
    asking: socket.socket

    def end(self, *, killed: bool) -> None:
        """Tell who asked how it ended; if that one has been killed, kill it and what it started."""
        if killed:
            os.killpg(self.number, signal.SIGKILL)
        _, status = os.waitpid(self.number, 0)
        code = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(BrokenPipeError):
            self.asking.send(json.dumps(code if code >= 0 else 128 - code).encode())
        self.asking.close()
        os.close(self.descriptor)


def main() -> NoReturn:
    """Serve until the pipe that is standard input is closed."""
    address = Path(sys.argv[1])
    for name in LIBRARIES:
        importlib.import_module(name)
    # Programs are short: what they no longer need goes with them, and the libraries' own, too.
    gc.disable()
    for finalizer in weakref.finalize._registry:
        finalizer.atexit = False
    client = address.with_name("python")
    client.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    client.chmod(0o755)
    programs: list[Program] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(address))
        listening.listen(64)
        sys.stdout.write("warm\n")
        sys.stdout.flush()
        while True:
            watched = [own for program in programs for own in (program.descriptor, program.asking)]
            ready, _, _ = select.select([sys.stdin, listening, *watched], [], [])
            if sys.stdin in ready:
                # To take apart all that is in memory would last longer than most programs.
                os._exit(0)
            for program in [own for own in programs if {own.descriptor, own.asking} & {*ready}]:
                program.end(killed=program.descriptor not in ready)
                programs.remove(program)
            if listening in ready:
                asking, _ = listening.accept()
                message, descriptors, _, _ = socket.recv_fds(asking, MESSAGE, 3)
                if not message:
                    # Who asks has been killed before it did.
                    asking.close()
                    continue
                number = os.fork()
                os.setpgid(number, 0)
                if number == 0:
                    for other in (listening, asking, *(program.asking for program in programs)):
                        other.close()
                    for place, descriptor in enumerate(descriptors):
                        os.dup2(descriptor, place)
                        os.close(descriptor)
                    run(**json.loads(message), client=client)
                for descriptor in descriptors:
                    os.close(descriptor)
                programs.append(Program(number, os.pidfd_open(number), asking))


def run(argv: list[str], here: str, environment: dict[str, str], client: Path) -> NoReturn:
    """Be ``python *argv``, and end."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(here)
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[0:1] = ["", *filter(None, paths)]
    code: object = 0
    try:
        if argv[0] == "-m":
            # What this one starts in turn is warm, too.
            sys.executable = str(client)
            sys.argv = argv[1:]
            runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = argv
            sys.path[0] = str(Path(argv[0]).parent)
            runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
