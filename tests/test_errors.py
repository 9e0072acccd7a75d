import errno
import os
import pickle
import re
from pathlib import Path

import pytest

from mmroute.errors import (
    DISK_FAULTS,
    DamagedFile,
    InputError,
    Undecided,
    naming_extra,
    plain,
    raise_disk_fault,
    refusal,
)


def wrapped(error):
    """Return an error that two others were made of."""
    try:
        try:
            raise error
        except OSError as first:
            raise ValueError("not readable") from first
    except ValueError:
        try:
            raise RuntimeError("cannot be built")
        except RuntimeError as last:
            return last


@pytest.mark.parametrize("number", sorted(DISK_FAULTS))
def test_the_fault_of_a_disk_is_found_behind_what_was_made_of_it(number):
    fault = OSError(number, os.strerror(number))
    for error in (fault, wrapped(fault)):
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            raise_disk_fault(error, Path("results/x"))
        assert (caught.value.errno, caught.value.filename) == (number, "results/x")
    with pytest.raises(OSError, match="y") as caught:
        raise_disk_fault(OSError(number, os.strerror(number), "y"), Path("x"))
    assert caught.value.filename == "y"


@pytest.mark.parametrize(
    "error",
    [OSError("no errno"), FileNotFoundError(errno.ENOENT, "gone", "x"), ValueError("x")],
)
def test_other_errors_are_no_fault_of_a_disk(error):
    raise_disk_fault(error, Path("x"))


def test_what_the_system_refuses_is_one_line():
    said = refusal(OSError(errno.EACCES, "Permission denied", "a.csv"))
    assert said.startswith("a.csv: Permission denied; ")
    assert refusal(OSError(errno.ENOSPC, "No space left on device")).startswith(
        "the disk: No space"
    )
    assert refusal(OSError(errno.EPIPE, "Broken pipe")) is None


def test_a_damaged_file_can_be_told_to_another_process():
    error = pickle.loads(pickle.dumps(DamagedFile(Path("a"), "damaged", "make it anew")))
    assert str(error) == "a: damaged; make it anew"
    assert (error.path, error.wrong, error.way) == (Path("a"), "damaged", "make it anew")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://bob:secret@host/v1?x", "https://…@host/v1?x"),
        ("'https:/bob:secret@host/t.csv': no file", "'https:/…@host/t.csv': no file"),
        ("http://secret@host", "http://…@host"),
        ("https://host/a@b", "https://host/a@b"),
        ("\x1b[31mred\u202e\udce9", "\\x1b[31mred\\u202e\\udce9"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_text_for_a_terminal_steers_nothing_and_shows_no_password(text, shown):
    assert plain(text) == shown


def test_a_module_of_an_extra_is_missed_with_the_extras_name():
    said = re.escape("router 'mlp' needs torch: pip install \"mmroute[torch]\"")
    with pytest.raises(InputError, match=f"^{said}$"), naming_extra("router 'mlp'"):
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")


def test_a_module_of_no_extra_is_missed_as_it_was():
    with pytest.raises(ModuleNotFoundError, match="my_routers"), naming_extra("a router"):
        raise ModuleNotFoundError("No module named 'my_routers'", name="my_routers")


def test_an_error_that_names_ways_out_comes_whole_from_another_process():
    again = pickle.loads(pickle.dumps(Undecided("two ways", {"filter": "strict"})))
    assert (type(again), str(again), again.keys) == (Undecided, "two ways", {"filter": "strict"})
