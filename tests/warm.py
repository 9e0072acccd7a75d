"""A Python that has the libraries in memory already, for tests that start it many times.

``python warm.py SOCKET`` imports them once and then waits; each program that ``client`` asks it
for runs in a process of its own, forked from it, as it would run in a new one. The package
itself is imported by each program, from wherever it finds it.
"""

import atexit
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
from pathlib import Path

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
    "textalloc",
    "torch",
    "typer",
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


def main() -> None:
    """Serve until the pipe that is standard input is closed."""
    address = Path(sys.argv[1])
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    client = address.with_name("python")
    client.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    client.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(address))
        listening.listen(64)
        sys.stdout.write("warm\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            asking, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                attend(asking, client)
            asking.close()
            # Those that have ended.
            while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                os.wait()


def attend(asking: socket.socket, client: Path) -> None:
    """Run what one client asks for, in a child, and tell it the exit code; end with both."""
    message, descriptors, _, _ = socket.recv_fds(asking, MESSAGE, 3)
    program = os.fork()
    if program == 0:
        asking.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        run(**json.loads(message), client=client)
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(program)
    ready, _, _ = select.select([asking, ended], [], [])
    if ended not in ready:
        os.kill(program, signal.SIGKILL)
    _, status = os.waitpid(program, 0)
    code = os.waitstatus_to_exitcode(status)
    if ended in ready:
        asking.send(json.dumps(code if code >= 0 else 128 - code).encode())
    os._exit(0)


def run(argv: list[str], here: str, environment: dict[str, str], client: Path) -> None:
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
    # To take apart all that is in memory would last longer than most programs.
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
