"""The watcher sees what an attempt does, and blames nobody for what is allowed."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SECONDS, MORE_BYTES = 5, 2**28
ACTIONS = {
    "started a program": "subprocess.run(['/bin/true'])",
    "started a program: os.system": "os.system('true')",
    "a program of the stranger's ran": "subprocess.run(['/bin/sh', '-c', 'echo > ../canary'])",
    "opened": "open('outside', 'w').close()",
    "changed": "os.close(os.open('../outside', os.O_CREAT))",
    "os.mkdir": "os.mkdir('folder')",
    "os.rename": "os.rename('given', 'taken')",
    "os.remove": "os.remove('given')",
    "os.symlink": "os.symlink('/', 'link')",
    "left in the folder of temporary files": "tempfile.mkstemp()",
    "connected to": "socket.create_connection(('127.0.0.1', 9))",
    "the network was reached": "requests_post(server)",
    "looked up": "socket.getaddrinfo('stranger.example', 80)",
    "the secret was told": "print(os.environ['CANARY_SECRET'])",
    "hung": "time.sleep(60)",
    "took": "b' ' * 2**29",
    "died of SIGSEGV": "os.kill(os.getpid(), signal.SIGSEGV)",
    "left a process running": "os.fork() or (os.setsid(), time.sleep(60))",
    "opened '/outside": "subprocess.run([sys.executable, '-c', \"open('/outside/x', 'w')\"])",
}
HARMLESS = (
    "print('said')",
    "tempfile.TemporaryDirectory().cleanup()",
    "subprocess.run([sys.executable, '-c', 'print(1)'])",
    "open('/dev/null', 'w').close()",
    "open('given').read()",
    "os.fork() or os._exit(0)",
)


def requests_post(server):
    """Send something, as a router would."""
    with socket.create_connection(server) as own:
        own.sendall(b"GET / HTTP/1.0\r\n\r\n")
        own.recv(100)


SCRIPT = """
import json, os, signal, socket, subprocess, sys, tempfile, time
sys.path.insert(0, {folder!r})
from pathlib import Path
from test_watch import requests_post
from watch import Place, Watch
root = Path(sys.argv[1])
watch = Watch(root / "watch", {seconds}, {more_bytes})
server = ("127.0.0.1", watch.port)
told = []
for number, code in enumerate(json.load(sys.stdin)):
    place = Place(root / str(number))
    place.make()
    (place.work / "given").write_text("given")
    told.append(watch.watch(place, lambda: exec(code)).misdeeds)
watch.close()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def misdeeds(tmp_path_factory):
    """Return what the watcher tells of each action, from a process of one thread."""
    import json

    script = SCRIPT.format(
        folder=str(Path(__file__).parent), seconds=SECONDS, more_bytes=MORE_BYTES
    )
    codes = [*ACTIONS.values(), *HARMLESS]
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path_factory.mktemp("watched"))],
        input=json.dumps(codes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(codes, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("said", ACTIONS)
def test_a_misdeed_is_seen(misdeeds, said):
    assert any(own.startswith(said) for own in misdeeds[ACTIONS[said]]), misdeeds[ACTIONS[said]]


@pytest.mark.parametrize("code", HARMLESS)
def test_nothing_is_said_of_what_is_allowed(misdeeds, code):
    assert misdeeds[code] == []
