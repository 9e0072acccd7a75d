"""Hand the program source files as an adversary would, and watch what happens.

``python tests/faults/sources.py --count 200 --seed 0`` prints how many attempts were made,
handled, refused and failed. The attempts are made by hand; those beyond the last one begin anew.
Each is a folder with a config, on which ``mmroute check`` runs; where that finds nothing wrong,
the first steps of a run do, and their numbers are compared with an independent reading, see
``mutations``. An attempt is refused if one line, or a finding of the check, names the file or the
key. Anything else is a failure, and so is all that ``watch`` tells of.
"""

import argparse
import base64
import io
import json
import os
import pickle
import random
import resource
import shutil
import socket
import struct
import sys
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import inputs
import mutations
import yaml
from inputs import Table
from layouts import LAYOUTS, NOTED, zipped
from mutations import Expected, Outcome
from watch import Ended, NotMade, Place, Watch, answer, command_line, in_fork, outcomes

LONGEST_SECONDS = 60
LIMITS = {"gigabytes": 3, "seconds": 10}
"""What the configs of the attempts allow."""
MOST_BYTES = 7 * 2**29
MB = 2**20

Write = Callable[[Path], None]
Content = bytes | Callable[[], bytes]
"""What is large is made only where it is written."""


class Attempt(NamedTuple):
    """An attempt: what it is, and what writes its files and config into a folder.

    Attributes
    ----------
    named
        What a refusal has to name.
    expected
        What the numbers are where it is handled; None if it has to be refused.
    largest_file
        Bytes that no file may exceed, as on a disk that is full.
    """

    what: str
    write: Write
    named: str
    expected: Expected | None = None
    largest_file: int | None = None


def _config(folder: Path, source: dict[str, Any], **more: Any) -> None:
    content = inputs.settings(source) | {"limits": LIMITS} | more
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _numbers(handled: bool = False, touched: Iterable[inputs.Pair] = ()) -> Expected:
    """Return what the long table of ``inputs`` says."""
    numbers = mutations.long_numbers(inputs.long_table())
    return Expected(numbers, set(touched), handled=handled)


# -- Pickles ------------------------------------------------------------------------------

GLOBALS = (
    "os system",
    "posix system",
    "nt system",
    "subprocess Popen",
    "subprocess call",
    "builtins eval",
    "builtins exec",
    "builtins getattr",
    "builtins __import__",
    "builtins open",
    "__builtin__ apply",
    "importlib import_module",
    "runpy _run_code",
    "pty spawn",
    "socket create_connection",
    "urllib.request urlopen",
    "webbrowser open",
    "shutil rmtree",
    "pathlib Path",
    "ctypes CDLL",
    "types FunctionType",
    "functools partial",
    "operator attrgetter",
    "operator methodcaller",
    "copyreg __newobj__",
    "copyreg add_extension",
    "pickle loads",
    "_pickle loads",
    "torch load",
    "torch.storage _load_from_bytes",
    "numpy load",
    "numpy memmap",
    "numpy.testing._private.utils runstring",
    "numpy fromfile",
    "pandas read_pickle",
    "pandas eval",
    "pandas.core.frame DataFrame.eval",
    "joblib load",
    "mmroute.storage link_to",
    "mmroute.sources.pickles _ADMITTED",
    "code interact",
    "builtins object.__subclasses__",
)


def _made(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content()


def _release(content: Content) -> Write:
    """Return what writes a folder with a pickle as RouterBench has one."""

    def write(folder: Path) -> None:
        (folder / "release").mkdir()
        (folder / "release/routerbench_0shot.pkl").write_bytes(_made(content))
        _config(folder, {"kind": "routerbench", "path": "release"})

    return write


def _frame(**cells: Any) -> Any:
    """Return a table in RouterBench's layout; ``cells`` replace the first ones of a column."""
    import pandas as pd

    rows = [
        {"sample_id": f"{name}.{number}", "prompt": f"question {number}", "eval_name": name}
        | {model: 0.5 for model in inputs.MODELS}
        | {f"{model}|total_cost": 0.01 for model in inputs.MODELS}
        for name in ("a", "b")
        for number in range(60)
    ]
    frame = pd.DataFrame(rows).astype(object)
    for name, cell in cells.items():
        frame[name] = [cell, *frame[name].tolist()[1:]] if name in frame else [cell] * len(frame)
    return frame


def _nested_tuples(depth: int) -> bytes:
    """Return instructions that leave a tuple of twice the same tuple, so many times over."""
    return b")" + b"2\x86" * depth


def _nested_lists(depth: int) -> bytes:
    """Return instructions that leave a list of a list, so many times over."""
    return b"]" * depth + b"a" * (depth - 1)


def _shared_lists(times: int, depth: int) -> bytes:
    """Return instructions that leave a list of lists that are all the same, so many times over."""
    made = b"](K\x01" + b"K\x01" * (times - 1) + b"e"
    for number in range(depth):
        put, get = b"q" + bytes([number]), b"h" + bytes([number])
        made += put + b"0](" + get * times + b"e"
    return made


def pickles() -> Iterator[Attempt]:
    """Make pickles that run, hang or overflow."""
    named = "routerbench_0shot.pkl"
    for full in GLOBALS:
        module, name = full.split(" ", 1)
        content = f"c{module}\n{name}\n(S'touch canary'\ntR.".encode()
        yield Attempt(f"a pickle calls {module}.{name}", _release(content), named)
    for full in ("os system", "builtins eval", "subprocess Popen"):
        module, name = full.split()
        short = (
            bytes([0x8C, len(module)]) + module.encode() + bytes([0x8C, len(name)]) + name.encode()
        )
        for what, content in {
            "by a name from the stack": b"\x80\x04" + short + b"\x93\x8c\x01x\x85R.",
            "as a new object": b"\x80\x04" + short + b"\x93\x8c\x01x\x85\x81.",
            "as a new object of names": b"\x80\x04" + short + b"\x93\x8c\x01x\x85}\x92.",
            "by the old instruction": f"(S'x'\ni{module}\n{name}\n.".encode(),
            "as an object": b"(" + f"c{module}\n{name}\nS'x'\no.".encode(),
            "by its state": b"\x80\x04" + short + b"\x93}b.",
        }.items():
            yield Attempt(f"a pickle makes {full} {what}", _release(content), named)
    hash_all = {
        "tuples as a key": b"\x80\x02}" + _nested_tuples(60) + b"K\x01s.",
        "tuples in a set": b"\x80\x04\x8f(" + _nested_tuples(60) + b"\x90.",
        "tuples in a frozenset": b"\x80\x04(" + _nested_tuples(60) + b"\x91.",
        "tuples as a name of a memo": b"\x80\x02}" + _nested_tuples(400) + b"K\x01s.",
        "tuples in a cell": None,
    }
    for what, content in hash_all.items():
        if content is None:
            nested: Any = ()
            for _ in range(60):
                nested = (nested, nested)
            content = pickle.dumps(_frame(sample_id=nested))
        yield Attempt(f"a pickle hashes {what}", _release(content), named)
    whole = pickle.dumps(_frame())
    for what, content in {
        "nests 3 million lists": b"\x80\x02" + _nested_lists(3_000_000) + b".",
        "nests 3 million tuples": b"\x80\x02)" + b"\x85" * 3_000_000 + b".",
        "nests 100,000 lists": b"\x80\x02" + _nested_lists(100_000) + b".",
        "nests 900 lists": b"\x80\x02" + _nested_lists(900) + b".",
        "shares lists that expand to terabytes": b"\x80\x02" + _shared_lists(100, 6) + b".",
        "holds itself": b"\x80\x02]q\x00h\x00a.",
        "holds itself as a key": b"\x80\x02]q\x00}h\x00K\x01s.",
        "is empty": b"",
        "is cut": whole[: len(whole) // 2],
        "ends without an end": whole[:-1],
        "is zeros": b"\0" * 1000,
        "is text": b"sample_id,model\n",
        "is gzip": zlib.compress(whole),
        "refers to nothing": b"\x80\x02h\x07.",
        "pops too much": b"00000.",
        "marks nothing": b"t.",
        "asks for 2^62 bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
        "asks for a bytearray of 2^62": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"x.",
        "asks for text of 2^62": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
        "asks for a frame of 2^62": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
        "asks for a number of 2^31 bytes": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".",
        "asks for less than nothing": b"\x80\x02\x8b" + struct.pack("<i", -1) + b".",
        "puts at 2^32": b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b".",
        "is of protocol 200": b"\x80\xc8N.",
        "names an extension": b"\x80\x02\x82\x01.",
        "refers to outside": b"\x80\x02X\x01\x00\x00\x00aQ.",
        "wants a buffer": b"\x80\x05\x97.",
        "holds a number of 5,000 digits as text": b"I" + b"9" * 5000 + b"\n.",
        "holds a number of 10 MB as text": b"L" + b"9" * 10**7 + b"L\n.",
        "holds a number of 10 MB": b"\x80\x02\x8b"
        + struct.pack("<i", 10**7)
        + b"\x7f" * 10**7
        + b".",
        "holds text with an escape": b"S'\\x41\\'\n.",
        "holds None": pickle.dumps(None),
        "holds a list": pickle.dumps([1, 2]),
        "holds a dict": pickle.dumps({"a": 1}),
        "changes a dict of its own": b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
        "has two ends": b"N.N.",
    }.items():
        yield Attempt(f"a pickle {what}", _release(content), named)
    for name in ("sample_id", "prompt", "eval_name", "m-small", "m-small|total_cost", "x"):
        for what, cell in {
            "a number of 5,000 digits": 10**5000,
            "a nested list": _in_lists(200),
            "bytes": b"x" * 100,
            "a dict": {"a": {"b": 1}},
            "infinity": float("inf"),
            "NUL": "\0",
            "half a surrogate": "\ud800",
            "100 MB": _LONG,
        }.items():
            if (name, what) in _HARMLESS_CELLS or name == "x":
                continue
            content = lambda name=name, cell=cell: pickle.dumps(  # noqa: E731
                _frame(**{name: _grown(cell)})
            )
            yield Attempt(f"a pickle's cell of {name} holds {what}", _release(content), named)
    for what, content in _forged_arrays().items():
        yield Attempt(f"a pickle's array {what}", _release(content), named)
    for what, content in {
        "hashes": hash_all["tuples as a key"],
        "calls": b"cos\nsystem\n(S'x'\ntR.",
    }.items():

        def eval_release(folder: Path, content: bytes = content) -> None:
            (folder / "release").mkdir()
            (folder / "release/mmlu_router_dataset.pkl").write_bytes(content)
            _config(folder, {"kind": "routereval", "path": "release"})

        yield Attempt(f"a pickle of RouterEval {what}", eval_release, "mmlu_router_dataset.pkl")

        def judged(folder: Path, content: bytes = content) -> None:
            _work_directory(folder)
            (folder / "work/m-small/m-small_A_openai_result.xlsx").unlink()
            (folder / "work/m-small/m-small_A_openai_result.pkl").write_bytes(content)

        yield Attempt(f"a judged pickle {what}", judged, "m-small_A_openai_result.pkl")


_LONG = "<100 MB>"
"""Stands for so much text where it is written."""


def _grown(text: Any) -> Any:
    return text.replace(_LONG, "y" * 10**8) if isinstance(text, str) else text


_HARMLESS_CELLS = {
    *((name, "half a surrogate") for name in ("sample_id", "prompt", "eval_name")),
    *((name, "100 MB") for name in ("prompt", "sample_id", "eval_name")),
    *((name, "NUL") for name in ("sample_id", "prompt", "eval_name")),
    *((name, "infinity") for name in ("sample_id", "prompt", "eval_name")),
    *((name, "a number of 5,000 digits") for name in ()),
}
"""Cells that may stand there; what becomes of them is for the tests of text."""


def _in_lists(depth: int) -> Any:
    nested: Any = 1
    for _ in range(depth):
        nested = [nested]
    return nested


def _forged_arrays() -> dict[str, bytes]:
    """Return pickles of arrays with state that their content does not bear out."""
    import numpy as np

    def array(shape: str, dtype: str, content: bytes, order: str = "\\x89") -> bytes:
        made = pickle.dumps(np.zeros(2), protocol=2)
        return made.replace(b"K\x02\x85", eval(f"b'{shape}'"), 1) if shape else made

    whole = pickle.dumps(np.arange(4.0), protocol=2)
    return {
        "has another shape": whole.replace(b"K\x04\x85", b"J\xff\xff\xff\x7f\x85", 1),
        "has a shape of -1": whole.replace(b"K\x04\x85", b"J\xff\xff\xff\xff\x85", 1),
        "has 10^12 rows of nothing": whole.replace(
            b"K\x04\x85", b"\x8a\x06\x00\x10\xa5\xd4\xe8\x00K\x00\x86", 1
        ),
        "is of objects": whole.replace(b"X\x02\x00\x00\x00f8", b"X\x02\x00\x00\x00O8", 1),
        "is of voids": whole.replace(b"X\x02\x00\x00\x00f8", b"X\x02\x00\x00\x00V8", 1),
        "is of text of 500 MB": whole.replace(
            b"X\x02\x00\x00\x00f8", b"X\x0a\x00\x00\x00U125000000", 1
        ),
        "is alone": whole,
    }


# -- Archives -----------------------------------------------------------------------------

ARCHIVE = "vlm_router_data.tar.gz"
TREE = "vlm_router_data/VLMEvalKit_evaluation"


def _members(add: Callable[[tarfile.TarFile], None] = lambda archive: None, **how: Any) -> bytes:
    """Return a gzipped archive of judged files, and of what is added."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1, **how) as archive:
        for name, table in inputs.judged().items():
            content = inputs.WRITERS[".xlsx"](table)
            _add(archive, f"{TREE}/{name.removeprefix('work/')}", content)
        add(archive)
    return stream.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes = b"", **given: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in given.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(content))


def _archive(content: Callable[[], bytes], **limits: Any) -> Write:
    def write(folder: Path) -> None:
        (folder / "release").mkdir()
        (folder / "release" / ARCHIVE).write_bytes(content())
        (folder / "prices.csv").write_bytes(inputs.price_table().text())
        source = {"kind": "vl_release", "path": "release", "prices": "prices.csv", **limits}
        _config(folder, source)

    return write


def archives() -> Iterator[Attempt]:
    """Make archives that write elsewhere, or to no end."""
    names = {
        "leaves its folder": "../../outside",
        "leaves its folder from within": f"{TREE}/../../../outside",
        "is absolute": "/tmp/outside-of-an-archive",
        "has a backslash": "..\\..\\outside",
        "has a name of 300 letters": f"{TREE}/{'x' * 300}",
        "has 5,000 folders": "x/" * 5000 + "y",
        "has a null byte in its name": f"{TREE}/a\0b",
        "is called as its folder": ".",
        "has no name": "",
        "has a name of 1 MB": "x/" * 500_000,
    }
    for what, name in names.items():
        yield Attempt(
            f"a member {what}",
            _archive(lambda name=name: _members(lambda own: _add(own, name, b"x"))),
            ARCHIVE,
            _any_numbers() if what in _LAWFUL_NAMES else None,
        )
    kinds: dict[str, dict[str, Any]] = {
        "a link": {"type": tarfile.SYMTYPE, "linkname": "../../.."},
        "a link inside": {"type": tarfile.SYMTYPE, "linkname": "."},
        "a hard link outside": {"type": tarfile.LNKTYPE, "linkname": "../../../etc/passwd"},
        "an absolute hard link": {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
        "a hard link to nothing": {"type": tarfile.LNKTYPE, "linkname": f"{TREE}/nothing"},
        "a hard link to itself": {"type": tarfile.LNKTYPE, "linkname": f"{TREE}/odd"},
        "a device": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
        "a block device": {"type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0},
        "a pipe": {"type": tarfile.FIFOTYPE},
        "of an unknown type": {"type": b"Z"},
        "a contiguous file": {"type": tarfile.CONTTYPE},
    }
    for what, given in kinds.items():
        lawful = what in ("a contiguous file", "of an unknown type")
        yield Attempt(
            f"a member is {what}",
            _archive(lambda given=given: _members(lambda own: _add(own, f"{TREE}/odd", **given))),
            ARCHIVE,
            _any_numbers() if lawful else None,
        )

    def bomb(own: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(f"{TREE}/bomb")
        member.size = 300 * MB
        own.addfile(member, _Zeros())

    def many(own: tarfile.TarFile) -> None:
        for number in range(20_000):
            _add(own, f"{TREE}/x/{number}")

    def twice(own: tarfile.TarFile) -> None:
        for content in (b"a", b"b"):
            _add(own, f"{TREE}/twice", content)

    def file_as_folder(own: tarfile.TarFile) -> None:
        _add(own, f"{TREE}/a", b"x")
        _add(own, f"{TREE}/a/b", b"x")

    def headers(own: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(f"{TREE}/long")
        member.pax_headers = {"comment": "y" * 100 * MB}
        own.addfile(member)

    def records(own: tarfile.TarFile) -> None:
        for number in range(200):
            member = tarfile.TarInfo(f"{TREE}/{number}")
            member.pax_headers = {f"key{index}": "y" * 50 for index in range(500)}
            own.addfile(member)

    def sparse(own: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(f"{TREE}/sparse")
        member.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": f"{TREE}/sparse",
            "GNU.sparse.realsize": str(2**50),
        }
        own.addfile(member)

    def sized(size: str) -> Callable[[tarfile.TarFile], None]:
        def add(own: tarfile.TarFile) -> None:
            member = tarfile.TarInfo(f"{TREE}/sized")
            member.pax_headers = {"size": size}
            own.addfile(member)

        return add

    for what, add, limits in (
        ("unpacks to more than it may", bomb, {"max_gigabytes": 0.1}),
        ("has more members than it may", many, {"max_members": 1000}),
        ("has a member twice", twice, {}),
        ("has a file as a folder", file_as_folder, {}),
        ("has a header of 100 MB", headers, {}),
        ("is sparse, of 2^50 bytes", sparse, {}),
        ("says a size of 2^62", sized(str(2**62)), {}),
        ("says a size below zero", sized("-1"), {}),
    ):
        how = {"format": tarfile.PAX_FORMAT}
        yield Attempt(
            f"an archive {what}",
            _archive(lambda add=add, how=how: _members(add, **how), **limits),
            ARCHIVE,
        )
    for what, add in (
        ("has many headers", records),
        # Python reads no number in these, and takes the member for an empty one.
        ("says a size of many digits", sized("9" * 5000)),
        ("says a size that is none", sized("x")),
    ):
        content = lambda add=add: _members(add, format=tarfile.PAX_FORMAT)  # noqa: E731
        yield Attempt(f"an archive {what}", _archive(content), ARCHIVE, _any_numbers())
    for what, change in _CONTENTS.items():
        yield Attempt(
            f"an archive {what}", _archive(lambda change=change: change(_members())), ARCHIVE
        )
    yield Attempt(
        "an archive on a disk that is full",
        _archive(
            lambda: _members(lambda own: _add(own, f"{TREE}/large", random.Random(0).randbytes(MB)))
        ),
        "large",
        largest_file=200_000,
    )

    def images(add: Callable[[tarfile.TarFile], None]) -> Write:
        def write(folder: Path) -> None:
            from mmroute.sources.mmr_release import ARCHIVE_NAME

            (folder / "release").mkdir()
            (folder / "release/MMR-Bench.csv").write_bytes(
                inputs.wide_table("dataset_idx", "img_path").text()
            )
            with tarfile.open(folder / "release" / ARCHIVE_NAME, "w:gz") as archive:
                add(archive)
            _config(folder, {"kind": "mmr_release", "path": "release"})

        return write

    for what, name in names.items():
        if what not in _LAWFUL_NAMES:
            yield Attempt(
                f"of an archive of images a member {what}",
                images(lambda own, name=name: _add(own, name, b"x")),
                "release",
            )

    def zipped(fill: Callable[[zipfile.ZipFile], None], change: Callable[[bytes], bytes]) -> Write:
        def write(folder: Path) -> None:
            (folder / "release").mkdir()
            stream = io.BytesIO()
            with (
                zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")
                fill(archive)
            (folder / "release/router_dataset.zip").write_bytes(change(stream.getvalue()))
            _config(folder, {"kind": "routereval", "path": "release"})

        return write

    def named_zip(name: str, content: bytes = b"x") -> Callable[[zipfile.ZipFile], None]:
        return lambda archive: archive.writestr(name, content)

    def link_zip(archive: zipfile.ZipFile) -> None:
        member = zipfile.ZipInfo("mmlu_router_dataset.pkl")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc/passwd")

    def bomb_zip(archive: zipfile.ZipFile) -> None:
        with archive.open("mmlu_router_dataset.pkl", "w", force_zip64=True) as stream:
            for _ in range(400):
                stream.write(bytes(MB))

    def same(content: bytes) -> bytes:
        return content

    for what, fill, change in (
        ("leaves its folder", named_zip("../../x_router_dataset.pkl"), same),
        ("is absolute", named_zip("/tmp/x_router_dataset.pkl"), same),
        ("has a backslash", named_zip("..\\x_router_dataset.pkl"), same),
        ("is a link", link_zip, same),
        ("is a bomb", bomb_zip, same),
        ("has no pickle", named_zip("x.txt"), same),
        ("has one twice", lambda own: [named_zip("x_router_dataset.pkl")(own) for _ in "ab"], same),
        ("is cut", named_zip("x_router_dataset.pkl", b"y" * 1000), lambda own: own[:-30]),
        (
            "is damaged",
            named_zip("x_router_dataset.pkl", b"y" * 1000),
            lambda own: own[:50] + b"\xff" * 9 + own[59:],
        ),
        (
            "is encrypted",
            named_zip("x_router_dataset.pkl"),
            lambda own: own.replace(
                b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
            ),
        ),
        (
            "is of an unknown method",
            named_zip("x_router_dataset.pkl"),
            lambda own: own.replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x63\x00"),
        ),
        ("is empty", lambda own: None, same),
        ("is zeros", lambda own: None, lambda own: b"\0" * 1000),
    ):
        yield Attempt(f"a zip {what}", zipped(fill, change), "router_dataset")


_LAWFUL_NAMES = (
    "has a backslash",
    "is called as its folder",
    "has a null byte in its name",
    "has no name",
)
"""Members that may be unpacked, as they hurt nobody."""


class _Zeros(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        return bytes(size)


def _truncated_member(content: bytes) -> bytes:
    plain = bytearray(zlib.decompress(content, 31))
    plain[124:136] = b"77777777777\0"
    return _gzipped(bytes(plain))


def _gzipped(content: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(content) + packer.flush()


def _deflated_zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(bytes(MB)) for _ in range(megabytes)), packer.flush()])


_CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "is empty": lambda own: b"",
    "is cut": lambda own: own[: len(own) // 2],
    "is cut before its checksum": lambda own: own[:-6],
    "has another checksum": lambda own: own[:-8] + b"\0" * 8,
    "has a bit flipped": lambda own: own[:5000] + bytes([own[5000] ^ 4]) + own[5001:],
    "is not compressed": lambda own: zlib.decompress(own, 31),
    "has something behind": lambda own: own + b"something",
    "is compressed twice": _gzipped,
    "is zeros": lambda own: b"\0" * 10_000,
    "is 2 GB of zeros, compressed": lambda own: _deflated_zeros(2000),
    "has a member larger than itself": _truncated_member,
    "is a zip": lambda own: b"PK\x03\x04" + own,
    "is followed by another": lambda own: own + own,
}


def _any_numbers() -> Expected:
    return Expected({}, present=False)


# -- Workbooks ----------------------------------------------------------------------------

_SHEET = "xl/worksheets/sheet1.xml"
_STRINGS = "xl/sharedStrings.xml"
_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">'
        for before, name in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)


def _workbook() -> dict[str, bytes]:
    """Return the parts of the long table's workbook."""
    with zipfile.ZipFile(io.BytesIO(inputs.WRITERS[".xlsx"](inputs.long_table()))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(parts: dict[str, bytes | int]) -> bytes:
    """Return a workbook; a part that is a number is so many MB of one letter in a cell."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            if isinstance(content, bytes):
                archive.writestr(name, content)
                continue
            with archive.open(name, "w", force_zip64=True) as part:
                part.write(_HEAD + b'<row r="1"><c r="A1" t="inlineStr"><is><t>')
                for _ in range(content):
                    part.write(b"A" * MB)
                part.write(b"</t></is></c></row></sheetData></worksheet>")
    return stream.getvalue()


_HEAD = (
    b'<?xml version="1.0"?><worksheet '
    b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
)


def _sheet(rows: str) -> bytes:
    return _HEAD + rows.encode() + b"</sheetData></worksheet>"


def _cells(*cells: str) -> str:
    return f'<row r="1">{"".join(cells)}</row>'


def workbooks() -> Iterator[Attempt]:
    """Make workbooks that are not what they seem."""
    parts = _workbook()
    sheet = parts[_SHEET].decode()
    changes: dict[str, dict[str, bytes | int]] = {
        "has a cell of 600 MB": {_SHEET: 600},
        "has a cell of 1.9 GB": {_SHEET: 1900},
        "has entities that expand": {_SHEET: (_BOMB + "<worksheet>&j;</worksheet>").encode()},
        "has shared strings that expand": {_STRINGS: (_BOMB + "<sst>&j;</sst>").encode()},
        "has entities in its styles": {
            "xl/styles.xml": (_BOMB + "<styleSheet>&j;</styleSheet>").encode()
        },
        "reads a file": {
            _SHEET: b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><worksheet>&e;</worksheet>'
        },
        "reads a page": {
            _SHEET: b'<!DOCTYPE x [<!ENTITY e SYSTEM "http://198.51.100.7/x">]><worksheet>&e;</worksheet>'
        },
        "reads a definition": {_STRINGS: b'<!DOCTYPE x SYSTEM "http://198.51.100.7/x.dtd"><sst/>'},
        "names a string that is not there": {
            _SHEET: _sheet(_cells('<c r="A1" t="s"><v>999999999</v></c>'))
        },
        "names a string before the first": {
            _SHEET: _sheet(_cells('<c r="A1" t="s"><v>-5</v></c>'))
        },
        "names a string that is no number": {
            _SHEET: _sheet(_cells('<c r="A1" t="s"><v>x</v></c>'))
        },
        "has a cell far away": {_SHEET: _sheet(_cells('<c r="XFD1048576"><v>1</v></c>'))},
        "has a cell beyond all": {_SHEET: _sheet(_cells('<c r="ZZZZZZ99999999999"><v>1</v></c>'))},
        "has a cell of no place": {_SHEET: _sheet(_cells('<c r="1A"><v>1</v></c>'))},
        "has a row 10^12": {_SHEET: _sheet('<row r="1000000000000"><c r="A1"><v>1</v></c></row>')},
        "has a row -1": {_SHEET: _sheet('<row r="-1"><c r="A1"><v>1</v></c></row>')},
        "has a date of many digits": {
            _SHEET: _sheet(_cells(f'<c r="A1" s="1"><v>{"9" * 400}</v></c>'))
        },
        "has a style that is not there": {
            _SHEET: _sheet(_cells('<c r="A1" s="99999"><v>1</v></c>'))
        },
        "has an unknown type": {_SHEET: _sheet(_cells('<c r="A1" t="x"><v>1</v></c>'))},
        "has an ISO date that is none": {_SHEET: _sheet(_cells('<c r="A1" t="d"><v>x</v></c>'))},
        "nests 100,000 deep": {_SHEET: _HEAD + b"<row>" * 100_000},
        "has no sheet": {_SHEET: b""},
        "has a sheet cut": {_SHEET: parts[_SHEET][:-300]},
        "has UTF-16 inside": {_SHEET: sheet.encode("utf-16")},
        "has a sheet of zeros": {_SHEET: b"\0" * 1000},
        "has no book": {"xl/workbook.xml": b"<workbook/>"},
        "has an empty book": {"xl/workbook.xml": b""},
        "has no types": {"[Content_Types].xml": b"no XML"},
        "has relations to elsewhere": {
            "xl/_rels/workbook.xml.rels": parts["xl/_rels/workbook.xml.rels"].replace(
                b"/xl/worksheets/sheet1.xml", b"../../../../etc/passwd"
            )
        },
        "has many shared strings": {_STRINGS: b"<sst>" + b"<si><t>a</t></si>" * 10**6},
    }
    for what, changed in changes.items():

        def write(folder: Path, changed: dict[str, bytes | int] = changed) -> None:
            (folder / "table.xlsx").write_bytes(_zipped(parts | changed))
            _config(folder, {"kind": "table", "path": "table.xlsx"})

        lawful = what in (
            *("reads a definition", "has many shared strings", "has UTF-16 inside", "has no types"),
            # Its cells hold their text themselves.
            "has shared strings that expand",
        )
        expected = _numbers() if lawful or "styles" in what else None
        yield Attempt(f"a workbook {what}", write, "table.xlsx", expected)
    vast = sheet.replace("<dimension ref=", '<dimension ref="A1:XFD1048576" x=')
    for what, content in {
        "says that it is vast": vast,
        "links to elsewhere": sheet.replace(
            "</sheetData>",
            '</sheetData><hyperlinks><hyperlink ref="A1" location="file:///etc/passwd"/></hyperlinks>',
        ),
        "merges a million cells": sheet.replace(
            "</sheetData>", '</sheetData><mergeCells><mergeCell ref="Z1:ZZ1000"/></mergeCells>'
        ),
    }.items():

        def lawful(folder: Path, content: str = content) -> None:
            (folder / "table.xlsx").write_bytes(_zipped(parts | {_SHEET: content.encode()}))
            inputs.draw_images(folder / "images")
            _config(folder, {"kind": "table", "path": "table.xlsx"})

        yield Attempt(f"a workbook {what}", lawful, "table.xlsx", _numbers())
    whole = _zipped(parts)
    for what, content in {
        "is encrypted": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 4096,
        "is cut": whole[:-100],
        "is empty": b"",
        "is a CSV": inputs.long_table().text(),
        "is a zip of nothing": b"PK\x05\x06" + b"\0" * 18,
        "has a bit flipped": whole[:900] + bytes([whole[900] ^ 1]) + whole[901:],
    }.items():

        def raw(folder: Path, content: bytes = content) -> None:
            (folder / "table.xlsx").write_bytes(content)
            _config(folder, {"kind": "table", "path": "table.xlsx"})

        yield Attempt(f"a workbook {what}", raw, "table.xlsx")
    for what in ("has a cell of 600 MB", "has entities that expand", "has a cell far away"):

        def in_work(folder: Path, changed: dict[str, bytes | int] = changes[what]) -> None:
            _work_directory(folder)
            path = folder / "work/m-small/m-small_A_openai_result.xlsx"
            path.write_bytes(_zipped(parts | changed))

        yield Attempt(f"a judged workbook {what}", in_work, "m-small_A_openai_result.xlsx")


# -- Tables -------------------------------------------------------------------------------


def _table(name: str, content: Callable[[], bytes], **more: Any) -> Write:
    def write(folder: Path) -> None:
        inputs.draw_images(folder / "images")
        (folder / name).write_bytes(content())
        _config(folder, {"kind": "table", "path": name, **more})

    return write


def _with_tags(count: int) -> Table:
    table = inputs.long_table()
    table.columns += [f"tag{number}" for number in range(count)]
    table.rows = [[*row, *["x"] * count] for row in table.rows]
    return table


def _parquet(rows: int, **columns: Any) -> bytes:
    """Return a Parquet file of so many equal rows, which takes a few bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    values = {"sample_id": "s", "model": "m", "utility": 1.0, "cost": 1.0} | columns
    table = pa.table({name: pa.array([value]) for name, value in values.items()})
    part = table.take(pa.array([0] * 10**6, pa.int32())) if rows > 10**6 else table
    with pq.ParquetWriter(stream, table.schema, compression="zstd") as writer:
        for _ in range(max(1, rows // 10**6)):
            writer.write_table(part)
    return stream.getvalue()


def _feather(megabytes: int) -> bytes:
    import numpy as np
    import pyarrow as pa
    import pyarrow.feather

    stream = io.BytesIO()
    table = pa.table({"sample_id": np.zeros(megabytes * MB // 8)})
    pyarrow.feather.write_feather(table, stream, compression="zstd")
    return stream.getvalue()


def tables() -> Iterator[Attempt]:
    """Make tables that are too wide, too deep or no tables."""
    plain = inputs.long_table()
    text, lines = plain.text(), plain.jsonl().decode().splitlines()
    first = lines[0][:-1]
    header, body = text.split(b"\n", 1)
    wide = b",".join(b"c%d" % number for number in range(10**6))
    for suffix, content in {
        ".csv, a million columns": lambda: wide + b"\n" + b"," * (10**6 - 1) + b"\n",
        ".csv, a million columns beside": lambda: header + b"," + wide + b"\n" + body,
        ".csv, no rows": lambda: header + b"\n",
        ".csv, an open quote": lambda: text + b'"' + b"x,\n" * 10**7,
        ".csv, a line of 200 MB": lambda: text + b"y" * 200 * MB,
        ".csv, a header of 100 MB": lambda: b"z" * 100 * MB + b"," + text,
        ".csv, nothing but commas": lambda: b"," * 50 * MB,
        ".csv, nothing but lines": lambda: b"\n" * 50 * MB,
        ".csv, nothing": lambda: b"",
        ".csv, null bytes": lambda: b"\0" * MB,
        ".csv, null bytes between": lambda: text.replace(b"m-small", b"m\0small"),
        ".csv, invalid UTF-8": lambda: text.replace(b"Sample", b"\xff\xfe\xfd"),
        ".csv, UTF-16": lambda: text.decode().encode("utf-16"),
        ".csv, a column twice": lambda: text.replace(b"sample_id,dataset", b"sample_id,sample_id"),
        ".csv, a pair 10,000 times": lambda: text + body * 100,
        ".csv, more cells than columns": lambda: text + b"a,b,c,d,e,f,g,h,i,j\n",
        ".csv, a Parquet file": plain.parquet,
        ".csv, a workbook": plain.xlsx,
        ".csv, a gzip": lambda: _gzipped(text),
        ".tsv, a million columns": lambda: wide.replace(b",", b"\t") + b"\n" + b"\t" * (10**6 - 1),
        ".tsv, commas": lambda: text,
        ".jsonl, 20,000 keys": lambda: (
            first + "".join(f', "k{number}": 1' for number in range(20_000)) + "}\n"
        ).encode(),
        ".jsonl, another key a line": lambda: "\n".join(
            f'{own[:-1]}, "k{number}": 1}}' for number, own in enumerate(lines * 300)
        ).encode(),
        ".jsonl, nested without end": lambda: b"[" * 10**6,
        ".jsonl, nested in a cell": lambda: (
            first + ', "x": ' + "[" * 900 + "]" * 900 + "}"
        ).encode(),
        ".jsonl, objects without end": lambda: b'{"a":' * 10**5,
        ".jsonl, a number of many digits": lambda: (
            first.replace('"cost": ', '"cost": ' + "9" * 10**5).encode() + b"}"
        ),
        ".jsonl, a line of 300 MB": lambda: (first + ', "x": "').encode() + b"y" * 300 * MB + b'"}',
        ".jsonl, a list": lambda: b"[1, 2]\n",
        ".jsonl, a number": lambda: b"1\n",
        ".jsonl, no JSON": lambda: b"{'a': 1}\n",
        ".jsonl, a sample that is an object": lambda: (
            b'{"sample_id": {"a": 1}, "model": "m", "utility": 1, "cost": 1}\n'
        ),
        ".parquet, empty": lambda: b"",
        ".parquet, cut": lambda: plain.parquet()[:-50],
        ".parquet, a footer of 2^31": lambda: b"PAR1" + b"\xff\xff\xff\x7fPAR1",
        ".parquet, a footer of zeros": lambda: b"PAR1" + b"\0" * 100 + b"\x64\0\0\0PAR1",
        ".parquet, encrypted": lambda: b"PARE" + b"\0" * 100 + b"\x64\0\0\0PARE",
        ".parquet, a CSV": lambda: text,
        ".parquet, 400 million rows": lambda: _parquet(400 * 10**6),
        ".parquet, 20 million rows of one pair": lambda: _parquet(20 * 10**6),
        ".parquet, nested lists": lambda: _parquet(1, utility=[[[[1.0]]]]),
        ".parquet, binary": lambda: _parquet(1, sample_id=b"\xff\xfe", utility=b"x"),
        ".parquet, a map": lambda: _parquet(1, model={"a": 1}),
        ".feather, empty": lambda: b"",
        ".feather, cut": lambda: plain.feather()[:-50],
        ".feather, 4 GB of zeros": lambda: _feather(4000),
        ".feather, a header only": lambda: b"ARROW1\0\0" + b"\xff" * 8 + b"\x7f" + b"\0" * 64,
        ".feather, a Parquet file": plain.parquet,
    }.items():
        kind = suffix.split(",")[0]
        yield Attempt(
            f"a table{suffix}",
            _table(f"table{kind}", content),
            f"table{kind}",
            _ALLOWED.get(suffix),
        )
    for count, suffix in ((20_000, ".csv"), (20_000, ".jsonl"), (5_000, ".csv")):
        content = lambda count=count, suffix=suffix: inputs.WRITERS[suffix](_with_tags(count))  # noqa: E731
        yield Attempt(
            f"a table{suffix} of {count:,} tags",
            _table(f"table{suffix}", content),
            "table",
            _numbers(),
        )
    for suffix, writer in inputs.WRITERS.items():
        if suffix in (".parquet", ".feather"):
            damage = random.Random(suffix)
            for number in range(6):

                def damaged(draw: int = damage.random(), writer: Any = writer) -> bytes:
                    content = bytearray(writer(plain))
                    for _ in range(8):
                        content[random.Random(draw).randrange(len(content))] ^= 0xFF
                        draw = random.Random(draw).random()
                    return bytes(content)

                touched = set(mutations.long_numbers(plain)) if suffix == ".feather" else set()
                expected = Expected(mutations.long_numbers(plain), touched, present=False)
                yield Attempt(
                    f"a table{suffix} damaged, draw {number}",
                    _table(f"table{suffix}", damaged),
                    "table",
                    expected,
                )


_ALLOWED = {
    ".csv, a line of 200 MB": None,
    ".csv, a million columns beside": _numbers(),
    ".csv, null bytes between": Expected({}, present=False),
    ".csv, invalid UTF-8": Expected({}, present=False),
    ".csv, a header of 100 MB": _numbers(),
    ".jsonl, 20,000 keys": Expected({}, present=False),
    ".jsonl, nested in a cell": Expected({}, present=False),
    ".jsonl, a line of 300 MB": Expected({}, present=False),
    ".csv, UTF-16": _numbers(),
}
"""Numbers that a table may be found to hold."""


def no_files() -> Iterator[Attempt]:
    """Put what is no regular file in the place of one, and odd things beside."""

    def listening(path: Path) -> None:
        with chdir(path.parent):
            socket.socket(socket.AF_UNIX).bind(path.name)

    ways: dict[str, Callable[[Path], None]] = {
        "a pipe": os.mkfifo,
        "a folder": Path.mkdir,
        "a socket": listening,
        "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
        "a link to /dev/stdin": lambda path: path.symlink_to("/dev/stdin"),
        "a link to nothing": lambda path: path.symlink_to("nothing"),
        "a link to itself": lambda path: path.symlink_to(path.name),
    }

    def replaced(write: Write, name: str, way: Callable[[Path], None]) -> Write:
        def write_and_replace(folder: Path) -> None:
            write(folder)
            (folder / name).unlink()
            way(folder / name)

        return write_and_replace

    def priced(folder: Path) -> None:
        (folder / "table.csv").write_bytes(inputs.token_table().text())
        (folder / "prices.csv").write_bytes(inputs.price_table().text())
        _config(folder, {"kind": "table", "path": "table.csv", "prices": "prices.csv"})

    def described(folder: Path) -> None:
        _table("table.csv", inputs.long_table().text)(folder)
        (folder / "samples.csv").write_bytes(b"sample_id\n")
        _config(folder, {"kind": "table", "path": "table.csv", "samples": "samples.csv"})

    log = sorted(inputs.logs())[0]
    judged = sorted(inputs.judged())[0]
    for what, way in ways.items():
        for kind, path in _FILES_OF_LAYOUTS:
            numbers = LAYOUTS[kind]().numbers
            yield Attempt(
                f"of {kind}, {path} is {what}",
                replaced(_layout(kind), path, way),
                Path(path).name,
                Expected(numbers, LAYOUTS[kind]().pairs[path], present=False),
            )
        for name, write in (
            ("table.csv", _table("table.csv", inputs.long_table().text)),
            ("table.parquet", _table("table.parquet", inputs.long_table().parquet)),
            ("table.xlsx", _table("table.xlsx", inputs.long_table().xlsx)),
            ("prices.csv", priced),
            ("samples.csv", described),
            ("release/routerbench_0shot.pkl", _release(b"N.")),
            (f"release/{ARCHIVE}", _archive(_members)),
            ("config.yaml", _table("table.csv", inputs.long_table().text)),
            (log, _logs),
            (judged, _work_directory),
            ("work/LMUData/A.tsv", _work_directory),
        ):
            expected = None
            if name in (log, judged) or "LMUData" in name:
                # Fewer logs are fewer outcomes; what is no file at all may be passed over.
                numbers = mutations.log_numbers(inputs.logs()) if name == log else {}
                expected = Expected(numbers, present=False)
            yield Attempt(
                f"{name} is {what}", replaced(write, name, way), Path(name).name, expected
            )
    own_image = "images/1.png"
    for what, way in ways.items():
        write = replaced(_table("table.csv", inputs.long_table().text), own_image, way)
        yield Attempt(f"{own_image} is {what}", write, "1.png", _numbers())

    def beside(add: Callable[[Path], None], write: Write, expected: Expected) -> tuple:
        def write_and_add(folder: Path) -> None:
            write(folder)
            add(folder)

        return write_and_add, "x", expected

    strays: dict[str, Callable[[Path], None]] = {
        "a name that is not UTF-8": lambda folder: Path(
            os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")
        ).write_bytes(b"x"),
        "a folder that is not UTF-8": lambda folder: Path(
            os.fsdecode(os.fsencode(folder) + b"/caf\xe9")
        ).mkdir(),
        "a link to nothing": lambda folder: (folder / "a.png").symlink_to("nothing"),
        "a link to itself": lambda folder: (folder / "a.png").symlink_to("a.png"),
        "a link to the root": lambda folder: (folder / "a").symlink_to("/"),
        "a link to the folder": lambda folder: (folder / "a").symlink_to("."),
        "a pipe": lambda folder: os.mkfifo(folder / "a.png"),
        "a link to /dev/zero": lambda folder: (folder / "a.png").symlink_to("/dev/zero"),
        "a socket": lambda folder: listening(folder / "a.png"),
        "a name with a line break": lambda folder: (folder / "a\nb.png").write_bytes(b"x"),
        "a name with an escape": lambda folder: (folder / "\x1b[31m.png").write_bytes(b"x"),
        "a folder called as an image": lambda folder: (folder / "b.png").mkdir(),
        "100 folders deep": lambda folder: (folder / ("d/" * 100)).mkdir(parents=True),
    }
    for what, add in strays.items():
        write = _table("table.csv", inputs.long_table().text)
        yield Attempt(f"beside a table lies {what}", *beside(add, write, _numbers(handled=True)))
        logged = Expected(mutations.log_numbers(inputs.logs()), handled=True)
        deeper = lambda folder, add=add: add(folder / "logs")  # noqa: E731
        yield Attempt(f"beside logs lies {what}", *beside(deeper, _logs, logged))
        judgements = Expected(mutations.judged_numbers(inputs.judged()), handled=True)
        in_work = lambda folder, add=add: add(folder / "work")  # noqa: E731
        yield Attempt(
            f"in a work directory lies {what}", *beside(in_work, _work_directory, judgements)
        )


# -- Images -------------------------------------------------------------------------------


def _png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    made = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for name, content in ((b"IHDR", head), *chunks, (b"IEND", b"")):
        checksum = zlib.crc32(name + content)
        made += struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
    return made


def images() -> Iterator[Attempt]:
    """Make images that are bombs, or none; name some that lie elsewhere."""
    stream = io.BytesIO()
    inputs.picture(1).save(stream, "PNG")
    whole = stream.getvalue()
    gif = io.BytesIO()
    frames = [inputs.picture(1)] * 500
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    postscript = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(touch canary) system\nshowpage\n"
    )
    contents: dict[str, bytes] = {
        "a bomb of 10,000 by 10,000": _png(
            10_000, 10_000, (b"IDAT", zlib.compress(bytes(300 * MB), 1))
        ),
        "a bomb of 60,000 by 60,000": _png(60_000, 60_000, (b"IDAT", zlib.compress(bytes(MB)))),
        "2^31 wide": _png(2**31 - 1, 1, (b"IDAT", b"")),
        "of no size": _png(0, 0, (b"IDAT", b"")),
        "one row of 90 million": _png(90_000_000, 1, (b"IDAT", zlib.compress(bytes(MB)))),
        "a bomb in its text": _png(8, 8, (b"zTXt", b"a\0\0" + zlib.compress(bytes(500 * MB), 1))),
        "a bomb in its profile": _png(
            8, 8, (b"iCCP", b"a\0\0" + zlib.compress(bytes(500 * MB), 1))
        ),
        "a chunk of 2^32": b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR",
        "cut": whole[:60],
        "empty": b"",
        "zeros": b"\0" * 1000,
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='http://198.51.100.7/'/></svg>",
        "SVG with entities": (_BOMB + "<svg>&j;</svg>").encode(),
        "EPS": postscript,
        "PDF": b"%PDF-1.4\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj",
        "HTML": b"<script>alert(1)</script>",
        "an animation": gif.getvalue(),
        "a TIFF of no end": b"II*\0\x08\0\0\0"
        + b"\x01\0\x00\x01\x04\0\x01\0\0\0\xff\xff\xff\x7f"
        + b"\x08\0\0\0",
        "a TIFF that leads to itself": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "a pickle": b"cos\nsystem\n(S'touch canary'\ntR.",
        "an icon": b"icns\0\0\x10\0" + b"ic10\xff\xff\xff\xff" + b"\0" * 100,
        "a JPEG of 65,535 by 65,535": b"\xff\xd8\xff\xc0\0\x11\x08"
        b"\xff\xff\xff\xff\x03\x01\x11\0\x02\x11\0\x03\x11\0\xff\xd9",
        "a WebP that is cut": b"RIFF\xff\xff\xff\x7fWEBPVP8L\x10\0\0\0/\xff\xff\xff\xff",
        "an AVIF of nothing": b"\0\0\0\x18ftypavif\0\0\0\0avifmif1",
        "a BMP of -1": b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, -1, -1, 1, 24, 0, 0, 0, 0, 0, 0),
    }
    for what, content in contents.items():

        def write(folder: Path, content: bytes = content) -> None:
            _table("table.csv", inputs.long_table().text)(folder)
            (folder / "images/1.png").write_bytes(content)

        yield Attempt(f"an image is {what}", write, "1.png", _numbers(handled=True))
    for name in (
        "../outside.png",
        "/etc/passwd",
        "images/../../outside.png",
        "http://198.51.100.7/x.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "~/x.png",
        "$HOME/x.png",
        "images/1.png\x00.txt",
        "images/" + "x" * 300,
        "x/" * 3000,
        "images\\1.png",
        "images",
        ".",
        "CON",
        "images/1.png ",
        "\x1b[31m",
    ):

        def elsewhere(folder: Path, name: str = name) -> None:
            table = inputs.long_table()
            column = table.columns.index("image")
            for row in table.rows:
                row[column] = name if row[column] == "images/1.png" else row[column]
            _table("table.csv", table.text)(folder)

        yield Attempt(f"a table names the image {name!r:.40}", elsewhere, "table.csv", _numbers())


# -- Logs ---------------------------------------------------------------------------------


def _logs(folder: Path) -> None:
    """Write the logs of lmms-eval, their prices and a config."""
    for name, table in inputs.logs().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(table.jsonl())
    (folder / "prices.csv").write_bytes(inputs.price_table().text())
    _config(folder, {"kind": "lmms_eval", "path": "logs", "prices": "prices.csv"})


def _work_directory(folder: Path) -> None:
    """Write a work directory of VLMEvalKit, its prices and a config."""
    for name, table in inputs.judged().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(table.xlsx())
    (folder / "work/LMUData").mkdir()
    (folder / "work/LMUData/A.tsv").write_bytes(inputs.image_table())
    (folder / "prices.csv").write_bytes(inputs.price_table().text())
    _config(folder, {"kind": "vlmevalkit", "path": "work", "prices": "prices.csv"})


def logs() -> Iterator[Attempt]:
    """Change what evaluation kits have written."""
    path = sorted(inputs.logs())[0]
    lines = inputs.logs()[path].jsonl().decode().splitlines()
    first = json.loads(lines[0])
    whole = mutations.log_numbers(inputs.logs())
    own = {pair for pair in whole if pair[0].startswith("A") and pair[1] == path.split("/")[1]}
    loose = Expected(whole, own, present=False)
    digits = "9" * 10_000
    changes: dict[str, tuple[str, Expected | None]] = {
        "nests without end": ("[" * 10**5, None),
        "nests in a key": (lines[0][:-1] + ', "x": ' + "[" * 10**5 + "}", None),
        "nests in its document": (
            lines[0][:-1] + ', "doc": ' + '{"a":' * 900 + "1" + "}" * 900 + "}",
            loose,
        ),
        "has an id of 10,000 digits": (
            lines[0].replace('"doc_id": 0', f'"doc_id": {digits}'),
            None,
        ),
        "has a score of 10,000 digits": (
            json.dumps(first | {"exact_match": 1}).replace(
                '"exact_match": 1', f'"exact_match": {digits}'
            ),
            None,
        ),
        "has a score of 1e400": (
            json.dumps(first | {"exact_match": 1}).replace(
                '"exact_match": 1', '"exact_match": 1e400'
            ),
            None,
        ),
        "has tokens of 10,000 digits": (
            json.dumps(first).replace('"input_tokens": ', f'"input_tokens": {digits}'),
            None,
        ),
        "has tokens below zero": (
            json.dumps(first | {"token_counts": [{"input_tokens": -5, "output_tokens": 2}]}),
            loose,
        ),
        "has an id like a path": (json.dumps(first | {"doc_id": "../../x"}), loose),
        "has an id that is a list": (json.dumps(first | {"doc_id": [1]}), None),
        "has an id that is an object": (json.dumps(first | {"doc_id": {"a": 1}}), None),
        "has an id of 1 MB": (json.dumps(first | {"doc_id": "x" * MB}), loose),
        "has an id that is an escape": (json.dumps(first | {"doc_id": "\x1b[31m\n\0"}), loose),
        "has no id": (
            json.dumps({key: value for key, value in first.items() if key != "doc_id"}),
            None,
        ),
        "has no answers": (
            json.dumps({key: value for key, value in first.items() if "resps" not in key}),
            loose,
        ),
        "has answers of another kind": (
            json.dumps(first | {"resps": {"a": 1}, "filtered_resps": 3}),
            loose,
        ),
        "has a target that is a list": (json.dumps(first | {"target": [[{}]]}), loose),
        "has no metric": (
            json.dumps({key: value for key, value in first.items() if key != "exact_match"}),
            loose,
        ),
        "has 20,000 metrics": (
            json.dumps(first | {f"m{number}": 1.0 for number in range(20_000)}),
            loose,
        ),
        "has a line of 300 MB": (json.dumps(first)[:-1] + f', "x": "{3 * _LONG}"}}', loose),
        "has a list as a line": ("[1]", None),
        "has null as a line": ("null", None),
        "has half a line": (lines[0][:40], None),
        "has an image elsewhere": (json.dumps(first | {"doc": {"image": "/etc/passwd"}}), loose),
        "has half a surrogate": (json.dumps(first | {"input": "\ud800"}), loose),
    }
    for what, (line, expected) in changes.items():

        def write(folder: Path, line: str = line) -> None:
            _logs(folder)
            (folder / path).write_text(_grown("\n".join([line, *lines[1:]]) + "\n"))

        yield Attempt(f"a log {what}", write, Path(path).name, expected)

    def renamed(old: str, new: str) -> Write:
        def write(folder: Path) -> None:
            _logs(folder)
            target = folder / new
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / old).rename(target)

        return write

    for new in (
        "logs/m\x1b[31m/20250102_030405_samples_A.jsonl",
        "logs/m\nx/20250102_030405_samples_A.jsonl",
        "logs/=1+1/20250102_030405_samples_A.jsonl",
        "logs/<b>/20250102_030405_samples_A.jsonl",
        "logs/a{x}b/20250102_030405_samples_A.jsonl",
        "logs/m-huge/20250102_030405_samples_...jsonl",
        "logs/m-huge/20250102_030405_samples_<b>.jsonl",
        "logs/m-huge/20250102_030405_samples_\x1b[31m.jsonl",
        "logs/m-huge/_samples_.jsonl",
    ):
        expected = Expected(whole, own, present=False)
        yield Attempt(f"a log is called {new!r}", renamed(path, new), "", expected)

    def table_of_images(cells: dict[str, str]) -> Write:
        def write(folder: Path) -> None:
            _work_directory(folder)
            lines = ["index\timage", *(f"{index}\t{cell}" for index, cell in cells.items())]
            (folder / "work/LMUData/A.tsv").write_text(
                _grown("\n".join(lines) + "\n"), errors="surrogateescape"
            )

        return write

    stream = io.BytesIO()
    inputs.picture(0).save(stream, "PNG")
    picture = base64.b64encode(stream.getvalue()).decode()
    judgements = mutations.judged_numbers(inputs.judged())
    for what, cells in {
        "an index like a path": {"../../../outside": picture},
        "an absolute index": {"/tmp/outside-of-a-table": picture},
        "an index of 300 letters": {"x" * 300: picture},
        "an index of a null byte": {"a\0b": picture},
        "an index that is an escape": {"\x1b[31m": picture},
        "an index that is a dot": {".": picture, "..": picture},
        "indices that point at each other": {"0": "1", "1": "0"},
        "an index that points at itself": {"0": "0"},
        "a chain of 10,000": {str(number): str(number + 1) for number in range(10_000)},
        "a cell that is no base64": {"0": "!" * 1000},
        "a cell of 300 MB": {"0": 3 * _LONG},
        "a cell that is a program": {"0": base64.b64encode(b"#!/bin/sh\ntouch canary\n").decode()},
        "a list that does not end": {"0": "['" + "A" * 10**6},
        "SVG": {"0": base64.b64encode(b"<svg onload='alert(1)'/>").decode()},
    }.items():
        expected = Expected(judgements)
        yield Attempt(f"an image table has {what}", table_of_images(cells), "A.tsv", expected)

    def judged(change: Callable[[Table], None]) -> Write:
        def write(folder: Path) -> None:
            _work_directory(folder)
            name, table = sorted(inputs.judged().items())[0]
            change(table)
            (folder / name).write_bytes(table.xlsx())

        return write

    def cell(name: str, value: Any) -> Callable[[Table], None]:
        def change(table: Table) -> None:
            table.rows[0][table.columns.index(name)] = value

        return change

    name, _ = sorted(inputs.judged().items())[0]
    model = name.split("/")[1]
    touched = {pair for pair in judgements if pair[1] == model and pair[0].startswith("A")}
    for column, value in (
        ("index", "../../x"),
        ("index", "9" * 400),
        ("index", ""),
        ("index", "<script>"),
        ("question", "=cmd|' /C calc'!A0"),
        ("question", "</script><img src=x onerror=alert(1)>"),
        ("hit", "[" * 5000),
        ("hit", "9" * 400),
        ("hit", "-1"),
        ("hit", "{'a': 1}"),
        ("hit", "np.float64(1" * 1000),
        ("answer", "[" + "'a', " * 100_000),
        ("prediction", "x" * 30_000),
    ):
        # A judged question is a sample's in all models' files: its length counts for them too.
        whole_a = {pair for pair in judgements if pair[0].startswith("A")}
        expected = Expected(judgements, whole_a if column != "hit" else touched, present=False)
        yield Attempt(
            f"a judged {column} is {value!r:.30}",
            judged(cell(column, value)),
            Path(name).name,
            expected,
        )


# -- Layouts ------------------------------------------------------------------------------

_FILES_OF_LAYOUTS = (
    ("helm", "runs/A,model=m-small/per_instance_stats.json"),
    ("helm", "runs/A,model=m-small/run_spec.json"),
    ("helm", "runs/A,model=m-small/scenario_state.json"),
    ("inspect_ai", "logs/A_m-small.json"),
    ("inspect_ai, packed", "logs/A_m-small.eval"),
    ("promptfoo", "results/A.json"),
    ("opencompass", f"outputs/{inputs.DATE}/results/m-small/A.json"),
    ("opencompass", f"outputs/{inputs.DATE}/predictions/m-small/A.json"),
    ("lm-evaluation-harness", f"logs/m-small/samples_A_{NOTED}.jsonl"),
    ("older lmms-eval", "logs/0102_0304_m-small/A.json"),
    ("llmrouterbench", f"release/bench/A/test/m-small/m-small_{inputs.DATE}.json"),
    ("xroutebench", "release/A/train.parquet"),
    ("xroutebench", "release/llm_candidates/train.parquet"),
    ("r2bench", "release/data/m-small/100_judge.csv"),
    ("routerarena", "release/cached_results/m-small.jsonl"),
    ("mmr_v2", "release/data/instances/A.parquet"),
    ("mmr_v2", "release/data/results/m-small/A.parquet"),
    ("decision_log", "logs/log.jsonl"),
    ("decision_log", "logs/judged.jsonl"),
)
"""One file of each kind that a layout has."""


def _layout(kind: str, changed: dict[str, Content] | None = None) -> Write:
    """Return what writes a layout, with other contents in place of some files'."""

    def write(folder: Path) -> None:
        layout = LAYOUTS[kind]()
        layout.write(folder)
        for path, content in (changed or {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(_made(content))
        _config(folder, layout.source)

    return write


def _json_with(place: bytes) -> Callable[[bytes], bytes]:
    """Return what puts a key of JSON before the first one of a file."""
    return lambda own: own.replace(b"{", b'{"x": ' + place + b", ", 1)


_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "is empty": lambda own: b"",
    "is cut": lambda own: own[: len(own) // 2],
    "is zeros": lambda own: b"\0" * 1000,
    "is packed": _gzipped,
}
_TEXTS: dict[str, Callable[[bytes], bytes]] = {
    "is UTF-16": lambda own: own.decode().encode("utf-16"),
    "holds no UTF-8": lambda own: own[:30] + b"\xff\xfe" + own[30:],
    "ends in 200 MB of blanks": lambda own: own + b" " * 200 * MB,
    "is a line of 200 MB": lambda own: b"y" * 200 * MB,
}
_JSONS: dict[str, Callable[[bytes], bytes]] = {
    "nests without end": lambda own: b"[" * 10**6,
    "is a list": lambda own: b"[]\n",
    "is an object": lambda own: b"{}\n",
    "is null": lambda own: b"null\n",
    "has a number of 10,000 digits": _json_with(b"9" * 10_000),
    "has text of 300 MB": _json_with(b'"' + b"y" * 300 * MB + b'"'),
    "has 20,000 keys": _json_with(b", ".join([b"1", *(b'"k%d": 1' % i for i in range(20_000))])),
    "nests 900 deep": _json_with(b"[" * 900 + b"]" * 900),
    "has a key twice": lambda own: _json_with(b"1")(_json_with(b"2")(own)),
    "has half a surrogate": _json_with(b'"\\ud800"'),
}
_PARQUETS: dict[str, Callable[[bytes], bytes]] = {
    "has a footer of 2^31": lambda own: b"PAR1" + b"\xff\xff\xff\x7fPAR1",
    "is encrypted": lambda own: b"PARE" + own[4:-4] + b"PARE",
    "is a CSV": lambda own: b"sample_id,model\n",
    "has 20 million rows": lambda own: _parquet_like(own, 20),
    "has every row twice": lambda own: _parquet_like(own, 0, 2),
    "holds lists": lambda own: _parquet_as(own, lambda column: [[cell] for cell in column]),
    "holds bytes": lambda own: _parquet_as(own, lambda column: [b"\xff\xfe"] * len(column)),
    "holds nothing": lambda own: _parquet_as(own, lambda column: [None] * len(column)),
    "has no rows": lambda own: _parquet_like(own, 0, 0),
}


def _parquet_like(own: bytes, millions: int, times: int = 1) -> bytes:
    """Return a table of the same rows so many times, or of its first one so many million times."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, stream = pq.read_table(io.BytesIO(own)), io.BytesIO()
    part = table.take(pa.array([0] * 10**6, pa.int32())) if millions else table
    with pq.ParquetWriter(stream, table.schema, compression="zstd") as writer:
        for _ in range(millions or times):
            writer.write_table(part)
    return stream.getvalue()


def _parquet_as(own: bytes, change: Callable[[list[Any]], list[Any]]) -> bytes:
    """Return a table whose columns hold something else."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, stream = pq.read_table(io.BytesIO(own)), io.BytesIO()
    changed = {name: change(table[name].to_pylist()) for name in table.column_names}
    pq.write_table(pa.table(changed), stream)
    return stream.getvalue()


_LAWFUL_DAMAGES = (
    *("ends in 200 MB of blanks", "has text of 300 MB", "has 20,000 keys", "nests 900 deep"),
    *("has a key twice", "has half a surrogate"),
)
_SKIPPED = ("is a list", "is an object", "is null")
"""What may be taken for a file that is no log; fewer logs are fewer outcomes."""
_LENIENT = ("lm-evaluation-harness", "older lmms-eval")
_OF_A_LOG = ("is cut", "is empty")
"""What a kill, or going on in a new file, may leave of a decision log."""


def layouts() -> Iterator[Attempt]:
    """Damage files of releases and of applications' logs, and put bombs in their place."""
    for kind, path in _FILES_OF_LAYOUTS:
        layout = LAYOUTS[kind]()
        own, suffix = layout.contents()[path], Path(path).suffix
        loose = Expected(layout.numbers, layout.pairs[path], present=False)
        damages = dict(_DAMAGES)
        damages |= _TEXTS if suffix in (".json", ".jsonl", ".csv") else {}
        damages |= _JSONS if suffix in (".json", ".jsonl") else {}
        damages |= _PARQUETS if suffix == ".parquet" else {}
        for what, damage in damages.items():
            # A log of older lmms-eval is known by its content, and that of a killed run is cut.
            lawful = what in (*_LAWFUL_DAMAGES, *_SKIPPED) or kind in _LENIENT
            lawful = lawful or (kind == "decision_log" and what in _OF_A_LOG)
            expected = loose if lawful else None
            if what == "is UTF-16" and suffix == ".csv":
                expected = Expected(layout.numbers)
            content = lambda own=own, damage=damage: damage(own)  # noqa: E731
            yield Attempt(
                f"of {kind}, {path} {what}",
                _layout(kind, {path: content}),
                Path(path).name,
                expected,
            )
    yield from _packed_logs()
    yield from _packed_results()
    yield from _packed_tables()


def _packed_logs() -> Iterator[Attempt]:
    """Make logs of Inspect AI that are no sound zips."""
    path = "logs/A_m-small.eval"
    layout = LAYOUTS["inspect_ai, packed"]()
    whole = layout.contents()[path]
    loose = Expected(layout.numbers, layout.pairs[path], present=False)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    first = "samples/0_epoch_1.json"

    def with_member(name: str, content: Content) -> Callable[[], bytes]:
        return lambda: zipped(members | {name: _made(content)})

    def zstandard(content: bytes, size: int) -> bytes:
        """Return a zip whose member says that it is packed by Zstandard, and so large."""
        stored = io.BytesIO()
        with zipfile.ZipFile(stored, "w") as archive:
            archive.writestr("header.json", members["header.json"])
            archive.writestr(first, content)
        packed = bytearray(stored.getvalue())
        for mark, method, length in ((b"PK\x03\x04", 8, 22), (b"PK\x01\x02", 10, 24)):
            place = packed.rindex(mark)
            packed[place + method : place + method + 2] = struct.pack("<H", 93)
            packed[place + length : place + length + 4] = struct.pack("<I", size)
        return bytes(packed)

    def bomb() -> bytes:
        import pyarrow as pa

        return zstandard(pa.compress(bytes(900 * MB), codec="zstd", asbytes=True), 900 * MB)

    for what, content, expected in (
        ("has a member of 2 GB", with_member(first, lambda: bytes(2000 * MB)), None),
        ("has a member of 500 MB of one text", with_member(first, _long_json), None),
        ("has 900 MB of zeros by Zstandard", bomb, None),
        ("says too little by Zstandard", lambda: zstandard(b"\x28\xb5\x2f\xfd", 7), None),
        ("has a member that is cut", with_member(first, members[first][:50]), None),
        ("has a header that is cut", with_member("header.json", b'{"eval":'), None),
        ("has a header that is a list", with_member("header.json", b"[]"), loose),
        ("has a sample that is null", with_member(first, b"null"), None),
        ("has a sample that nests", with_member(first, b"[" * 10**6), None),
        ("has a member that leaves its folder", with_member("samples/../../x.json", b"{}"), None),
        ("has a member of 60,000 letters", with_member(f"samples/{'x' * 60_000}.json", b"1"), None),
        ("has a member called by an escape", with_member("samples/\x1b[31m.json", b"1"), None),
        ("has 20,000 other members", lambda: zipped(members | _many_members()), loose),
        ("has a bit flipped", lambda: whole[:60] + bytes([whole[60] ^ 4]) + whole[61:], None),
        ("is cut before its end", lambda: whole[:-10], None),
        ("is encrypted", lambda: whole.replace(*_ENCRYPTED), None),
        ("is a workbook", inputs.long_table().xlsx, loose),
    ):
        yield Attempt(
            f"a log of Inspect AI {what}",
            _layout("inspect_ai, packed", {path: content}),
            Path(path).name,
            expected,
        )


_ENCRYPTED = (b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")


def _long_json() -> bytes:
    return b'{"id": "' + b"y" * 500 * MB + b'"}'


def _many_members() -> dict[str, bytes]:
    return {f"summaries/{number}.json": b"{}" for number in range(20_000)}


def _packed_results() -> Iterator[Attempt]:
    """Make archives of LLMRouterBench that write elsewhere, or to no end."""

    def write(change: Callable[[tarfile.TarFile], None]) -> Write:
        def write_archive(folder: Path) -> None:
            layout = LAYOUTS["llmrouterbench"]()
            (folder / "release").mkdir()
            with tarfile.open(folder / "release/bench-release.tar.gz", "w:gz") as archive:
                for path, content in layout.contents().items():
                    _add(archive, path.removeprefix("release/"), content)
                change(archive)
            _config(folder, layout.source | {"max_gigabytes": 0.1})

        return write_archive

    def bomb(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("bench/C/test/m/m_20250102_030405.json")
        member.size = 300 * MB
        archive.addfile(member, _Zeros())

    for what, change in {
        "leaves its folder": lambda own: _add(own, "../../outside", b"x"),
        "is absolute": lambda own: _add(own, "/tmp/outside-of-an-archive", b"x"),
        "is a link": lambda own: _add(own, "bench/x", type=tarfile.SYMTYPE, linkname="../../.."),
        "is a bomb": bomb,
    }.items():
        yield Attempt(f"of LLMRouterBench a member {what}", write(change), "bench-release.tar.gz")


def _packed_tables() -> Iterator[Attempt]:
    """Make packed tables and tables of JSON that are bombs, or none."""
    plain = inputs.long_table()
    whole, listed = plain.packed(), plain.json()
    for suffix, content, expected in (
        (".csv.gz, 5 GB of zeros", lambda: _deflated_zeros(5000), None),
        (".csv.gz, 5 GB of zeros in a cell", lambda: whole + _deflated_zeros(5000), None),
        (".csv.gz, cut", lambda: whole[:-20], None),
        (".csv.gz, another checksum", lambda: whole[:-8] + b"\0" * 8, None),
        (".csv.gz, no gzip", plain.text, None),
        (".csv.gz, packed twice", lambda: _gzipped(whole), None),
        (".csv.gz, empty", lambda: b"", None),
        (".csv.gz, nothing", lambda: _gzipped(b""), None),
        (".csv.gz, something behind", lambda: whole + b"something", None),
        (
            ".csv.gz, two in one",
            lambda: _gzipped(plain.text()[:500]) + _gzipped(plain.text()[500:]),
            _numbers(),
        ),
        (".jsonl.gz, nested without end", lambda: _gzipped(b"[" * 10**7), None),
        (".jsonl.gz, 2 GB of lines", lambda: _deflated_zeros(2000), None),
        (".parquet.gz, a Parquet file", lambda: _gzipped(plain.parquet()), None),
        (".json.gz, a list", lambda: _gzipped(listed), _numbers()),
        (".json, nested without end", lambda: b"[" * 10**6, None),
        (".json, objects without end", lambda: b'[{"a":' * 10**5, None),
        (".json, an object", lambda: b'{"a": [1]}', None),
        (".json, null", lambda: b"null", None),
        (
            ".json, a number of 10^400",
            lambda: listed.replace(b'"cost": 0.001', b'"cost": 1' + b"0" * 400),
            None,
        ),
        (".json, infinity", lambda: listed.replace(b'"cost": 0.001', b'"cost": Infinity'), None),
        (
            ".json, NaN",
            lambda: listed.replace(b'"cost": 0.001', b'"cost": NaN'),
            Expected({}, present=False),
        ),
        (".json, a column twice", lambda: listed.replace(b"{", b'{"cost": 1, ', 1), None),
        (".json, lists", lambda: b"[[1], [2]]", None),
        (".json, cut", lambda: listed[:-200], None),
        (".json, 20,000 keys a record", _sparse_json, None),
        (".json, UTF-16", lambda: listed.decode().encode("utf-16"), _numbers()),
        (".xls, a workbook", plain.xlsx, None),
    ):
        kind = suffix.split(",")[0]
        yield Attempt(f"a table{suffix}", _table(f"table{kind}", content), f"table{kind}", expected)


def _sparse_json() -> bytes:
    keys = [", ".join(f'"{own}_{number}": 1' for number in range(2000)) for own in range(300)]
    return f"[{', '.join(f'{{{own}}}' for own in keys)}]".encode()


# -- Prices -------------------------------------------------------------------------------


def prices() -> Iterator[Attempt]:
    """Make price tables that price nothing, or wrongly."""
    plain = inputs.price_table().text().decode()
    numbers = mutations.long_numbers(inputs.token_table())
    for what, content in {
        "has a price of 10,000 digits": plain.replace("0.5", "9" * 10_000),
        "has a price of 1e400": plain.replace("0.5", "1e400"),
        "has a price below zero": plain.replace("0.5", "-0.5"),
        "has a price of NaN": plain.replace("0.5", "nan"),
        "has a price of infinity": plain.replace("0.5", "inf"),
        "has a price in words": plain.replace("0.5", "half"),
        "has a formula as a price": plain.replace("0.5", "=1/2"),
        "has a model twice": plain + plain.splitlines()[1] + "\n",
        "lacks a model": "\n".join(plain.splitlines()[:-1]) + "\n",
        "lacks a column": "\n".join(line.rsplit(",", 1)[0] for line in plain.splitlines()),
        "has a column twice": plain.replace("completion", "prompt", 1),
        "is empty": "",
        "is a million columns": "model," + "x," * 10**6 + "\n",
        "is JSON": '{"m-small": 1}',
        "is a line of 200 MB": plain + 2 * _LONG,
    }.items():

        def write(folder: Path, content: str = content) -> None:
            (folder / "table.csv").write_bytes(inputs.token_table().text())
            (folder / "prices.csv").write_text(_grown(content))
            _config(folder, {"kind": "table", "path": "table.csv", "prices": "prices.csv"})

        expected = Expected(numbers, handled=False) if "200 MB" in what else None
        yield Attempt(f"a price table {what}", write, "prices.csv", expected)
    for what, encoded in {
        "UTF-16": plain.encode("utf-16"),
        "null bytes": b"\0" * 1000,
        "gzip": _gzipped(plain.encode()),
    }.items():

        def raw(folder: Path, encoded: bytes = encoded) -> None:
            (folder / "table.csv").write_bytes(inputs.token_table().text())
            (folder / "prices.csv").write_bytes(encoded)
            _config(folder, {"kind": "table", "path": "table.csv", "prices": "prices.csv"})

        yield Attempt(f"a price table is {what}", raw, "prices.csv")


# -- Configs ------------------------------------------------------------------------------


def configs() -> Iterator[Attempt]:
    """Write configs that cannot be, or that name what cannot be named."""

    def texts(change: Callable[[str], str | bytes]) -> Write:
        def write(folder: Path) -> None:
            _table("table.csv", inputs.long_table().text)(folder)
            changed = change((folder / "config.yaml").read_text())
            changed = changed if isinstance(changed, bytes) else changed.encode()
            (folder / "config.yaml").write_bytes(changed)

        return write

    for what, change in {
        "nests 100,000 lists": lambda own: own + "x: " + "[" * 100_000,
        "nests 1,500 lists": lambda own: own + "x: " + "[" * 1500 + "]" * 1500,
        "nests 100,000 mappings": lambda own: own + "x: " + "{a: " * 100_000,
        "nests by indentation": lambda own: (
            own + "\n".join(f"{' ' * level}x:" for level in range(3000))
        ),
        "nests in a known key": lambda own: own.replace(
            "salts:", "salts: " + "[" * 900 + "]" * 900 + "\n  x:"
        ),
        "has a key twice": lambda own: own + "seed: 4\n",
        "has a key twice inside": lambda own: own.replace("train: 0.5", "train: 0.5\n  train: 0.4"),
        "has a source twice": lambda own: own + "source: {kind: demo}\n",
        "has a router twice": lambda own: own.replace("routers:", "routers:\n  linear: {}"),
        "has aliases that expand": lambda own: mutations.BOMB + "\npool: *i\n" + own,
        "holds itself": lambda own: own + "x: &x [*x]\n",
        "has a name of 300 letters": lambda own: own.replace("name: mutated", "name: " + "n" * 300),
        "has a name of 256 bytes": lambda own: own.replace("name: mutated", "name: " + "n" * 256),
        "has a name in braces": lambda own: own.replace("name: mutated", "name: 'a{x}b'"),
        "has a name that leads up": lambda own: own.replace("name: mutated", "name: '../x'"),
        "has a name of dots": lambda own: own.replace("name: mutated", "name: '..'"),
        "has a name that is hidden": lambda own: own.replace("name: mutated", "name: '-x'"),
        "has a name with an escape": lambda own: own.replace("name: mutated", 'name: "\\e[31m"'),
        "has a name with a null byte": lambda own: own.replace("name: mutated", 'name: "a\\0b"'),
        "has a name with a line break": lambda own: own.replace("name: mutated", 'name: "a\\nb"'),
        "has a router of 300 letters": lambda own: own.replace(
            "knn:", "r" * 300 + ": {class: knn}\n  knn:"
        ),
        "has a router in braces": lambda own: own.replace("knn:", "'a{x}b': {class: knn}\n  knn:"),
        "has a router that leads up": lambda own: own.replace(
            "knn:", "'../x': {class: knn}\n  knn:"
        ),
        "has a salt of 300 letters": lambda own: own.replace("- 0\n", f"- {'s' * 300}\n"),
        "has a salt that leads up": lambda own: own.replace("- 0\n", "- '../x'\n"),
        "runs a program": lambda own: own + "x: !!python/object/apply:os.system ['touch canary']\n",
        "makes an object": lambda own: own + "x: !!python/name:os.system\n",
        "is UTF-16 without a mark": lambda own: own.encode("utf-16-le"),
        "is not UTF-8": lambda own: own.encode() + b"# caf\xe9\nx: \xff\n",
        "is binary": lambda own: bytes(range(256)),
        "is empty": lambda own: "",
        "is a list": lambda own: "- a\n",
        "is 30 MB": lambda own: own + "# " + "y" * 30 * MB + "\nx: 1\n",
        "has a number of many digits": lambda own: own.replace("seed: 3", "seed: " + "9" * 10_000),
        "has a seed that is infinite": lambda own: own.replace("seed: 3", "seed: .inf"),
        "has a share that is none": lambda own: own.replace("train: 0.5", "train: .nan"),
        "names no file": lambda own: own.replace("table.csv", "gone.csv"),
        "names a file with a null byte": lambda own: own.replace(
            "path: table.csv", 'path: "a\\0b.csv"'
        ),
        "names a file of 5,000 letters": lambda own: own.replace("table.csv", "x" * 5000 + ".csv"),
        "names a page": lambda own: own.replace("table.csv", "http://198.51.100.7/x.csv"),
        "has limits of nothing": lambda own: own.replace("gigabytes: 3", "gigabytes: 0"),
        "has limits that are none": lambda own: own.replace("gigabytes: 3", "gigabytes: .nan"),
        "has limits without end": lambda own: own.replace("gigabytes: 3", "gigabytes: .inf"),
    }.items():
        named = "config"
        if what.startswith("names"):
            named = "x" * 100 if "letters" in what else ".csv"
        yield Attempt(f"a config {what}", texts(change), named)

    def password(folder: Path) -> None:
        _table("table.csv", inputs.long_table().text)(folder)
        secret = "http://user:hunter2-secret@127.0.0.1:9/v1"
        routers = {"knn": None, "llm": {"endpoint": secret, "model": "m", "timeout": -1}}
        _config(folder, {"kind": "table", "path": "table.csv"}, routers=routers)

    yield Attempt("a config has a password in an URL, and a mistake beside", password, "config")

    def braces(folder: Path) -> None:
        own = folder / "a{x}b"
        own.mkdir()
        _table("table.csv", inputs.long_table().text)(own)
        _config(folder, {"kind": "table", "path": "a{x}b/table.csv"})

    yield Attempt("a config names a folder in braces", braces, "a{x}b", _numbers())


# -- Text ---------------------------------------------------------------------------------


def words() -> Iterator[Attempt]:
    """Put text into cells that something later might run, or be led by."""
    for value in (
        "<script>alert(1)</script>",
        "</td><img src=x onerror=alert(1)>",
        "=cmd|' /C calc'!A0",
        "@SUM(1)",
        "+1+1",
        "\x1b[31mred\x1b]0;title\x07",
        "\u202egnp.exe",
        "{x}",
        "{{7*7}}",
        "%s%n",
        "../../x",
        "a/b",
        "x" * 100_000,
        "\U0001f600" * 50,
        "\ufeff",
        "`touch canary`",
        "$(touch canary)",
        "'; DROP TABLE x; --",
    ):
        for column in ("question", "model", "dataset", "sample_id", "prediction"):

            def write(folder: Path, value: str = value, column: str = column) -> None:
                _table("table.csv", _renamed(value, column).text)(folder)

            expected = Expected(mutations.long_numbers(_renamed(value, column)))
            yield Attempt(f"a {column} is {value!r:.30}", write, "table.csv", expected)


def _renamed(value: str, column: str) -> Table:
    """Return the long table with another model, data set, sample or text in place of the first."""
    table = inputs.long_table()
    place = table.columns.index(column)
    before = table.rows[0][place]
    for row in table.rows:
        row[place] = value if row[place] == before else row[place]
    return table


FAMILIES = (
    pickles,
    archives,
    workbooks,
    tables,
    no_files,
    images,
    logs,
    layouts,
    prices,
    configs,
    words,
)


# -- Running ------------------------------------------------------------------------------


class Adversary:
    """Makes attempts, one after the other.

    Parameters
    ----------
    folder
        For them.
    """

    def __init__(self, folder: Path) -> None:
        import mmroute.checks
        import mmroute.cli  # noqa: F401
        from mmroute.catalogue import catalogue

        for entry in catalogue("sources").values():
            __import__(entry.module)
        self.folder = folder
        self.by_hand = [attempt for family in FAMILIES for attempt in family()]
        # Spread, so that a few of them are of all kinds.
        random.Random(0).shuffle(self.by_hand)
        self.watch = Watch(folder / "watch", LONGEST_SECONDS, MOST_BYTES)

    def examine(self, seed: int) -> Outcome:
        """Make the attempt of a seed."""
        attempt = self.by_hand[seed % len(self.by_hand)]
        root = Path(tempfile.mkdtemp(prefix="attempt", dir=self.folder))
        place = Place(root, (root / "work/results",))
        place.make()
        try:
            in_fork(lambda: attempt.write(place.work))
            kind, message = self._judge(attempt, place)
        except NotMade as error:
            kind, message = "failed", f"the attempt could not be made: {error}"
        finally:
            shutil.rmtree(root)
        return Outcome(seed, kind, attempt.what, message)

    def _judge(self, attempt: Attempt, place: Place) -> tuple[str, str]:
        action = command_line(["check", "config.yaml"])
        ended = self.watch.watch(place, _on_full_disk(action, attempt.largest_file))
        if (wrong := _misdeeds(ended, place)) is not None:
            return "failed", wrong
        refusal = ended.refusal() or _finding(ended)
        if ended.code == 0:
            if attempt.expected is None:
                return "failed", f"taken: {ended.told()}"
            ended = self.watch.watch(place, _steps(attempt.expected))
            if (wrong := _misdeeds(ended, place)) is not None:
                return "failed", f"in the first steps: {wrong}"
            refusal = ended.refusal()
            if ended.code == 0:
                return "handled", "as an independent reading says"
        if refusal is None:
            return "failed", f"not one line: {ended.told()}"
        if attempt.expected is not None and attempt.expected.handled:
            return "failed", f"refused, but there is nothing wrong: {refusal:.500}"
        # A line may be broken anywhere; what is wrong with a data set is said of it.
        words = "".join(refusal.split())
        if attempt.named not in words and "dataset'" not in words:
            return "failed", f"does not name {attempt.named}: {refusal:.500}"
        return "refused", refusal


def _misdeeds(ended: Ended, place: Place) -> str | None:
    """Return what must not happen, whatever the end."""
    misdeeds = [*ended.misdeeds]
    results = place.work / "results"
    if half := [str(path) for path in results.rglob("*.partial")]:
        misdeeds.append(f"half-written: {', '.join(half)}")
    if "hunter2-secret" in ended.said + ended.complained:
        misdeeds.append("the password was told")
    shown = ended.said + ended.complained
    if any(ord(character) < 32 and character not in "\n\t" for character in shown):
        misdeeds.append("says control characters")
    return f"{'; '.join(misdeeds):.600}; {ended.told()}" if misdeeds else None


def _finding(ended: Ended) -> str | None:
    """Return the findings of a check that would stop a run, None if there are none."""
    blocks = [own for own in ended.said.split("\n\n") if own.startswith("error ")]
    return "\n".join(blocks) if ended.code == 2 and blocks and not ended.complained else None


def _on_full_disk(action: Callable[[], None], largest: int | None) -> Callable[[], None]:
    """Return an action that cannot write files of more bytes."""
    if largest is None:
        return action

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        action()

    return limited


def _steps(expected: Expected) -> Callable[[], None]:
    """Return what takes the first steps of a run, and compares their numbers."""

    def take() -> None:
        from mmroute.confined import Limits, confined
        from mmroute.errors import InputError

        def compare() -> None:
            # What it says is of no interest here; how it ends is.
            warnings.simplefilter("ignore")
            table, said = mutations.first_steps(Path("results/steps"), Path("config.yaml"))
            mutations.check_numbers(expected, table, said)

        try:
            confined(compare, Limits(**LIMITS))
        except InputError as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(2)

    return take


def run(seeds: Iterable[int]) -> Iterator[Outcome]:
    """Make the attempts of some seeds, in a process of their own."""
    return outcomes(Path(__file__), seeds)


def main() -> int:
    """Make as many attempts as asked, and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print every attempt")
    parser.add_argument("--worker", nargs="*", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker is not None:
        with tempfile.TemporaryDirectory() as name:
            adversary = Adversary(Path(name))
            try:
                answer(adversary.examine, asked.worker)
            finally:
                adversary.watch.close()
        return 0
    counts: Counter[str] = Counter()
    for outcome in run(range(asked.seed, asked.seed + asked.count)):
        counts[outcome.kind] += 1
        if asked.verbose or outcome.kind == "failed":
            print(f"{outcome.kind}: seed {outcome.seed}: {outcome.what}\n    {outcome.message}")
    told = ", ".join(f"{counts[kind]} {kind}" for kind in ("handled", "refused", "failed"))
    print(f"{asked.count} hostile sources from seed {asked.seed}: {told}")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
