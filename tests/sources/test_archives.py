import errno
import gzip
import io
import os
import resource
import tarfile
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmroute.confined import Limits, confined
from mmroute.errors import InputError
from mmroute.sources.archives import unpack
from mmroute.storage import leaves_folder

pytestmark = pytest.mark.slow


def write_archive(path, members):
    """Write (name, type, link target or content) as they are, however hostile."""
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                member.linkname = content
                archive.addfile(member)


def file(name, content=b"x"):
    return (name, tarfile.REGTYPE, content)


def test_files_folders_and_hard_links_are_unpacked(tmp_path):
    write_archive(
        tmp_path / "a.tar.gz",
        [
            ("./d", tarfile.DIRTYPE, ""),
            file("./d/1.jpg", b"one"),
            file("e/2.jpg", b"two"),
            ("e/3.jpg", tarfile.LNKTYPE, "e/2.jpg"),
        ],
    )
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out/d/1.jpg").read_bytes() == b"one"
    assert (tmp_path / "out/e/3.jpg").read_bytes() == b"two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "out"]


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        file("/etc/passwd"),
        file("../escape"),
        file("a/../../escape"),
        file("..\\escape"),
        ("link", tarfile.SYMTYPE, "/etc/passwd"),
        ("link", tarfile.SYMTYPE, "../out2"),
        ("link", tarfile.LNKTYPE, "../a.tar.gz"),
        ("link", tarfile.LNKTYPE, "/etc/passwd"),
        ("null", tarfile.CHRTYPE, ""),
        ("pipe", tarfile.FIFOTYPE, ""),
    ],
)
def test_a_member_that_would_do_harm_is_refused_and_nothing_stays(tmp_path, name, kind, content):
    write_archive(tmp_path / "a.tar.gz", [file("ok.jpg"), (name, kind, content)])
    with pytest.raises(InputError) as caught:
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert repr(name) in str(caught.value)
    assert str(tmp_path / "a.tar.gz") in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]
    assert not (tmp_path.parent / "escape").exists()


def test_a_refused_archive_leaves_the_folder_as_it_was(tmp_path):
    write_archive(tmp_path / "good.tar.gz", [file("1.jpg", b"old")])
    write_archive(tmp_path / "bad.tar.gz", [file("1.jpg", b"new"), file("../x")])
    unpack(tmp_path / "good.tar.gz", tmp_path / "out")
    with pytest.raises(InputError):
        unpack(tmp_path / "bad.tar.gz", tmp_path / "out")
    assert (tmp_path / "out/1.jpg").read_bytes() == b"old"


def test_a_newer_archive_replaces_the_folder(tmp_path):
    write_archive(tmp_path / "a.tar.gz", [file("old.jpg")])
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    write_archive(tmp_path / "a.tar.gz", [file("new.jpg")])
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new.jpg"]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_members": 1}, r"more than 1 members; .*source\.max_members"),
        ({"max_bytes": 10_000}, r"more than 1e-05 GB; .*source\.max_gigabytes"),
    ],
)
def test_what_exceeds_a_limit_is_refused_with_the_key_that_sets_it(tmp_path, limits, said):
    write_archive(tmp_path / "a.tar.gz", [file("1"), file("2", bytes(10_000))])
    with pytest.raises(InputError, match=rf"a\.tar\.gz: {said}"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out", **limits)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]
    unpack(tmp_path / "a.tar.gz", tmp_path / "out", max_members=2, max_bytes=10_001)
    assert (tmp_path / "out/2").read_bytes() == bytes(10_000)


def test_a_bomb_is_refused_before_it_reaches_the_disk(tmp_path, monkeypatch):
    size = 2**26
    write_archive(tmp_path / "a.tar.gz", [file("zeros", bytes(size))])
    assert (tmp_path / "a.tar.gz").stat().st_size < size / 500
    extracted = []
    monkeypatch.setattr(tarfile.TarFile, "extract", lambda *args, **_: extracted.append(args))
    with pytest.raises(InputError, match="more than 0.067 GB"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out", max_bytes=67e6)
    assert not extracted


def header(name, kind=tarfile.REGTYPE, size=0):
    """Return a member's header with the size that it claims to have."""
    member = tarfile.TarInfo(name)
    member.type = kind
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(records, kind=tarfile.XHDTYPE):
    body = b""
    for key, value in records.items():
        record = b" %s=%s\n" % (key.encode(), value.encode())
        length = len(record) + len(str(len(record) + len(str(len(record)))))
        body += str(length).encode() + record
    return header("pax", kind, len(body)) + body + bytes(-len(body) % 512)


LIES = {
    "a negative size": header("a", size=-1024),
    "a negative size in a pax header": pax({"size": "-1024"}) + header("a"),
    "a size beyond the end": header("a", size=10**6) + bytes(512),
    "a long name of negative size": header("a", tarfile.GNUTYPE_LONGNAME, -1),
    "a long name beyond the end": header("a", tarfile.GNUTYPE_LONGNAME, 1000) + bytes(512),
    "a sparse map without end": pax(
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"}
    )
    + header("a", size=2**20)
    + b"99999999\n"
    + b"0\n" * 2**19,
    "a time that no disk knows": pax({"mtime": "1e300"}) + header("a"),
    "headers of headers": pax({"comment": "x"}) * 100_000 + header("a"),
    "a name longer than the disk's": pax({"path": "x" * 5000}) + header("a"),
    "a damaged second header": header("a") + b"\1" * 512,
    "something behind the end": header("a") + bytes(1024) + b"more",
}


@pytest.mark.parametrize("lie", LIES)
def test_an_archive_that_lies_is_refused_in_one_line_and_nothing_stays(tmp_path, lie):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(LIES[lie] + bytes(1024)))
    with pytest.raises(
        InputError, match=r"a\.tar\.gz: (not readable|member 'a' has the size -)"
    ) as e:
        unpack(path, tmp_path / "out")
    assert "\n" not in str(e.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_sparse_member_counts_with_its_whole_size(tmp_path):
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "holes"}
    sparse["GNU.sparse.realsize"] = str(10**12)
    body = b"1\n0\n0\n".ljust(512, b"\0")
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(pax(sparse) + header("a", size=512) + body + bytes(1024)))
    with pytest.raises(InputError, match="more than 200 GB"):
        unpack(path, tmp_path / "out")


MEGABYTES = 100
BOMBS = {
    "a pax header": header("pax", tarfile.XHDTYPE, MEGABYTES * 2**20),
    "a global pax header": header("pax", tarfile.XGLTYPE, MEGABYTES * 2**20),
    "a long name": header("name", tarfile.GNUTYPE_LONGNAME, MEGABYTES * 2**20),
    "no header at all": b"",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_comes_before_a_member_takes_no_memory(tmp_path, bomb):
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(BOMBS[bomb])
        for _ in range(MEGABYTES):
            stream.write(bytes(2**20))
        stream.write(header("a") + bytes(1024))
    tracemalloc.start()
    with pytest.raises(InputError, match="not readable as tar.gz"):
        unpack(path, tmp_path / "out")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6


def test_many_members_with_large_headers_take_no_memory(tmp_path):
    path = tmp_path / "a.tar.gz"
    keys = ({f"{number}.{part}": "x" * 1000 for part in range(100)} for number in range(500))
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for number, records in enumerate(keys):
            stream.write(pax(records, (tarfile.XHDTYPE, tarfile.XGLTYPE)[number % 2]))
            stream.write(header(str(number)))
    tracemalloc.start()
    unpack(path, tmp_path / "out")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(list((tmp_path / "out").iterdir())) == 500
    assert peak < 5e6


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (file("a/b"), file("a/b")),
        (file("a/b"), file("a/./b")),
        (file("a/b"), file("a//b")),
        (file("a/b"), file("./a/b/")),
        (file("a/b"), ("a/b", tarfile.LNKTYPE, "a/c")),
        (("a/b", tarfile.LNKTYPE, "a/c"), file("a/b")),
        (("a/b", tarfile.DIRTYPE, ""), file("a/b")),
        (file("a/b"), file("a/b/c")),
    ],
)
def test_a_member_that_would_replace_another_is_refused(tmp_path, first, second):
    write_archive(tmp_path / "a.tar.gz", [file("a/c"), first, second])
    with pytest.raises(InputError, match="would replace another|not readable"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_names_that_differ_for_the_disk_are_two_files(tmp_path):
    (tmp_path / "case").write_text("")
    write_archive(tmp_path / "a.tar.gz", [file("a.jpg", b"1"), file("A.jpg", b"2")])
    if (tmp_path / "CASE").exists():
        with pytest.raises(InputError, match="would replace another"):
            unpack(tmp_path / "a.tar.gz", tmp_path / "out")
        return
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out/a.jpg").read_bytes() == b"1"
    assert (tmp_path / "out/A.jpg").read_bytes() == b"2"


def test_folders_without_end_are_refused(tmp_path):
    write_archive(tmp_path / "a.tar.gz", [file("d/" * 100 + "x")])
    with pytest.raises(InputError, match="lies in more than 64 folders"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_a_flipped_bit_is_found_by_the_checksum(tmp_path):
    path = tmp_path / "a.tar.gz"
    write_archive(path, [file("1.jpg", b"pixels")])
    content = bytearray(gzip.decompress(path.read_bytes()))
    whole = gzip.compress(content, 0)
    path.write_bytes(whole.replace(b"pixels", b"pixelz"))
    with pytest.raises(InputError, match="not readable as tar.gz .*CRC"):
        unpack(path, tmp_path / "out")


def test_permissions_of_an_archive_do_not_count(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("1.sh")
        member.mode = 0o7777
        archive.addfile(member)
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out/1.sh").stat().st_mode & 0o7022 == 0


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.95])
def test_a_broken_archive_is_refused_and_nothing_stays(tmp_path, keep):
    whole = tmp_path / "a.tar.gz"
    noise = bytes(range(256)) * 40
    write_archive(whole, [file(f"{i}.jpg", noise[i:]) for i in range(50)])
    content = whole.read_bytes()
    whole.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(InputError, match=r"a\.tar\.gz: not readable as tar\.gz"):
        unpack(whole, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


@given(st.lists(st.sampled_from(["..", ".", "a", "b.jpg", ""]), min_size=1))
def test_a_path_that_is_not_said_to_leave_stays_inside(parts):
    name = "/".join(parts)
    depth = 0
    for part in parts:
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            assert leaves_folder(name)
    if name.startswith("/"):
        assert leaves_folder(name)


def full(error):
    """Return a function that finds the disk so."""

    def refuse(*_, **__):
        raise OSError(error, os.strerror(error))

    return refuse


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO])
def test_a_full_disk_is_not_blamed_on_the_archive(tmp_path, monkeypatch, error):
    write_archive(tmp_path / "a.tar.gz", [file("1.jpg", b"x" * 1000)])
    monkeypatch.setattr("tarfile.copyfileobj", full(error))
    with pytest.raises(OSError, match=os.strerror(error)) as caught:
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert caught.value.errno == error
    assert caught.value.filename == str(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_member_larger_than_the_disk_takes_is_not_blamed_on_the_archive(tmp_path):
    write_archive(tmp_path / "a.tar.gz", [file("1.jpg", bytes(10**6))])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_pipe_in_place_of_an_archive_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.tar.gz")
    with pytest.raises(InputError, match=r"a\.tar\.gz: is a pipe"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_a_large_archive_has_its_time_for_each_member(tmp_path, monkeypatch):
    write_archive(tmp_path / "a.tar.gz", [file(f"{number}.jpg") for number in range(8)])
    extract = tarfile.TarFile.extract

    def slowly(*given, **named):
        time.sleep(0.1)
        extract(*given, **named)

    monkeypatch.setattr(tarfile.TarFile, "extract", slowly)
    confined(lambda: unpack(tmp_path / "a.tar.gz", tmp_path / "out"), Limits(16, 0.4))
    assert len(list((tmp_path / "out").iterdir())) == 8
