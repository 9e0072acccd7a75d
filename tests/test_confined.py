import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mmroute.confined import Limits, confined, reading, working_on
from mmroute.errors import DamagedFile, InputError
from mmroute.storage import atomic, atomic_folder

pytestmark = pytest.mark.slow

AMPLE, SMALL, SHORT = Limits(16, 600), Limits(1.5, 600), Limits(16, 0.3)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(b"x")
    return path


def while_reading(path, work):
    """Return work that does some other work while it reads a file."""

    def whole():
        with reading(path):
            return work()

    return whole


def allocate_object_by_object():
    held = []
    while True:
        held.append(f"{len(held):450}")


def test_what_the_work_returns_arrives(file):
    assert confined(lambda: {"a": np.arange(3)}, AMPLE)["a"].tolist() == [0, 1, 2]
    # More than a pipe holds.
    assert confined(while_reading(file, lambda: b"x" * 10**7), AMPLE) == b"x" * 10**7
    assert confined(os.getpid, AMPLE) != os.getpid()


@pytest.mark.parametrize(
    "error",
    [
        InputError("a.csv: wrong; correct it"),
        DamagedFile(Path("a.parquet"), "damaged", "make it anew"),
        OSError(errno.ENOSPC, "No space left on device", "results"),
        ZeroDivisionError("a defect"),
    ],
)
def test_what_the_work_raises_arrives_as_it_was(error):
    def fail():
        raise error

    with pytest.raises(type(error)) as caught:
        confined(fail, AMPLE)
    assert str(caught.value) == str(error)
    assert vars(caught.value).keys() >= vars(error).keys() - {"__notes__"}
    if isinstance(error, DamagedFile):
        assert (caught.value.path, caught.value.wrong) == (error.path, error.wrong)
    if isinstance(error, ZeroDivisionError):
        assert "in fail" in caught.value.__notes__[0]


def test_what_cannot_be_sent_is_shown(capfd):
    class HomeMade(Exception):
        def __init__(self, one, two):
            super().__init__(one + two)

    def fail():
        raise HomeMade(1, 2)

    for work, said in ((fail, "HomeMade: 3"), (lambda: lambda: 1, "Can't pickle")):
        with pytest.raises(RuntimeError, match="exit code 1"):
            confined(work, AMPLE)
        assert said in capfd.readouterr().err


def test_warnings_arrive_and_prints_show(capfd):
    def warn():
        warnings.warn("two images are lost", stacklevel=1)
        sys.stderr.write("said\n")

    with pytest.warns(UserWarning, match="two images are lost"):
        confined(warn, AMPLE)
    assert capfd.readouterr().err == "said\n"


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda: ctypes.string_at(0), "ended by SIGSEGV"),
        (os.abort, "ended by SIGABRT"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended by SIGKILL, as the system does"),
        (lambda: os.kill(os.getpid(), signal.SIGBUS), "ended by SIGBUS"),
    ],
)
def test_a_death_by_signal_is_one_line_that_names_the_file(file, end, said):
    with pytest.raises(InputError, match=rf"data\.bin: .*{said}.*limits\.gigabytes") as caught:
        confined(while_reading(file, end), AMPLE)
    assert "\n" not in str(caught.value)


def test_a_thread_without_memory_is_memory_beyond_the_limit(file):
    with pytest.raises(InputError, match=r"data\.bin: takes more than 16 GB.*limits\.gigabytes"):
        confined(while_reading(file, lambda: os._exit(127)), AMPLE)


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: bytearray(10**10),
        lambda: np.ones(10**9),
        allocate_object_by_object,
        lambda: pc.binary_repeat(pa.array(["x" * 10**6]), 2 * 10**3),
    ],
)
def test_memory_beyond_the_limit_is_one_line_that_names_the_file(file, allocate):
    with pytest.raises(InputError, match=r"data\.bin: takes more than 1\.5 GB.*limits\.gigabytes"):
        confined(while_reading(file, allocate), SMALL)
    with pytest.raises(InputError, match=r"the data: takes more than 1\.5 GB"):
        confined(allocate, SMALL)


def test_memory_that_is_only_reserved_does_not_count(file):
    import mmap

    def reserve():
        return len(mmap.mmap(-1, 8 * 10**9, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ))

    assert confined(while_reading(file, reserve), SMALL) == 8 * 10**9


def test_one_that_took_too_much_takes_no_room_from_the_next(file):
    def twice():
        for _ in range(2):
            with pytest.raises(InputError, match="takes more"), reading(file):
                allocate_object_by_object()
        return True

    assert confined(twice, Limits(0.7, 600))


def test_a_file_that_takes_too_long_is_named(file):
    began = time.monotonic()
    with pytest.raises(InputError, match=r"data\.bin: not read after 0\.3 s.*limits\.seconds"):
        confined(while_reading(file, lambda: time.sleep(60)), SHORT)
    assert time.monotonic() - began < 50


def test_what_loops_in_c_is_ended_too(file):
    with pytest.raises(InputError, match=r"data\.bin: not read after"):
        confined(while_reading(file, lambda: pow(3, 10**9)), SHORT)


def test_each_file_has_its_own_time(tmp_path):
    files = [tmp_path / str(number) for number in range(8)]

    def read_all():
        with working_on(tmp_path):
            for path in files:
                path.touch()
                with reading(path):
                    time.sleep(0.1)
        # Not on any file.
        time.sleep(0.6)
        return True

    assert confined(read_all, SHORT)


def test_work_between_files_has_its_time_and_its_name(file, tmp_path):
    def read_and_compute():
        with working_on(tmp_path):
            with reading(file):
                pass
            time.sleep(60)

    with pytest.raises(InputError, match=rf"^{tmp_path}: not read after 0\.3 s"):
        confined(read_and_compute, SHORT)


def test_of_several_threads_the_one_that_hangs_is_named(tmp_path):
    files = [tmp_path / str(number) for number in range(8)]
    for path in files:
        path.touch()

    def read(path):
        with reading(path):
            time.sleep(60 if path.name == "5" else 0.01)

    def read_all():
        with working_on(tmp_path), ThreadPoolExecutor(4) as pool:
            list(pool.map(read, files))

    with pytest.raises(InputError, match=rf"^{tmp_path}/5: not read after"):
        confined(read_all, SHORT)


def test_more_readers_than_there_are_places_are_no_error(file):
    def nest(depth):
        with reading(file):
            return nest(depth - 1) if depth else True

    assert confined(lambda: nest(400), AMPLE)


@pytest.mark.parametrize("end", [lambda: ctypes.string_at(0), lambda: time.sleep(60)])
@pytest.mark.parametrize("whole", [atomic, atomic_folder])
def test_what_was_half_written_is_removed(file, tmp_path, end, whole):
    before = sorted(tmp_path.rglob("*"))

    def write():
        with reading(file), whole(tmp_path / "out/made") as partial:
            (partial / "part" if partial.is_dir() else partial).write_text("half")
            end()

    with pytest.raises(InputError):
        confined(write, SHORT)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "out"])


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (make_pipe, "a pipe"),
        (make_socket, "a socket"),
        (Path.mkdir, "a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
def test_only_a_regular_file_is_read(tmp_path, make, kind):
    make(tmp_path / "x")
    with (
        pytest.raises(InputError, match=rf"x: is {kind}, no regular file"),
        reading(tmp_path / "x"),
    ):
        pytest.fail("was read")


def test_a_missing_file_is_left_to_whoever_opens_it(tmp_path):
    with pytest.raises(FileNotFoundError), reading(tmp_path / "gone"):
        (tmp_path / "gone").read_text()


def test_what_nests_too_deep_is_one_line(tmp_path):
    def nest():
        return nest()

    with pytest.raises(InputError, match="nests too deep"), working_on(tmp_path):
        nest()


def test_threads_of_libraries_work_on_in_the_child():
    left = np.random.default_rng(0).random((500, 500))
    numbers = pa.chunked_array([pa.array(range(1000))] * 50)

    def compute():
        return float((left @ left).sum()), pc.sum(numbers).as_py()

    before = compute()
    assert confined(compute, Limits(16, 60)) == pytest.approx(before)


SCRIPT = """
import os, sys, time, logging
from pathlib import Path
from types import SimpleNamespace
from mmroute.confined import reading
from mmroute.job import job

limits = {"gigabytes": 1.0, "seconds": 0.5}
described = SimpleNamespace(log=["job.log"], input=[], config={"limits": limits})
with job(described, confined=True):
    logging.getLogger("mmroute").info("begun")
    Path("pids").write_text(f"{os.getppid()} {os.getpid()}")
    with reading(Path(__file__)):
        exec(sys.argv[1])
    Path("done").touch()
"""


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a job which does something while it reads its script."""
    (tmp_path / "job.py").write_text(SCRIPT)

    def run(work):
        return subprocess.Popen(
            [sys.executable, str(tmp_path / "job.py"), work],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's job in the background ignores it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return run


@pytest.mark.parametrize(
    ("work", "code", "said"),
    [
        ("pass", 0, "begun\n"),
        ("sys.exit(3)", 3, "begun\n"),
        ("import ctypes; ctypes.string_at(0)", 1, "job.py: reading it was ended by SIGSEGV"),
        ("bytearray(10**10)", 1, "job.py: takes more than 1 GB"),
        ("time.sleep(60)", 1, "job.py: not read after 0.5 s"),
        ("raise ZeroDivisionError", 1, "ZeroDivisionError"),
    ],
)
def test_a_job_ends_as_the_process_that_read_for_it(tmp_path, start, work, code, said):
    process = start(work)
    error = process.communicate()[1]
    assert process.returncode == code, error
    assert said in error
    assert (tmp_path / "done").exists() == (code == 0)
    if "job.py:" in said:
        assert error.count("\n") == 2
        assert (tmp_path / "job.log").read_text() == error
    watching, working = map(int, (tmp_path / "pids").read_text().split())
    assert watching == process.pid != working


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_process_that_was_started(tmp_path, start, number):
    process = start("time.sleep(0.4), Path('late').touch(), time.sleep(60)")
    while not (tmp_path / "pids").exists():
        time.sleep(0.01)
    time.sleep(0.05)
    process.send_signal(number)
    process.communicate()
    assert process.returncode != 0
    time.sleep(0.6)
    assert not (tmp_path / "late").exists()
