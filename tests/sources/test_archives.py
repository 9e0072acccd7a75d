import io
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmroute.errors import InputError
from mmroute.sources import archives
from mmroute.sources.archives import leaves_folder, unpack


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


def test_what_a_killed_run_left_is_no_part_of_the_folder(tmp_path):
    left = tmp_path / f".out.{os.getpid()}.partial"
    left.mkdir()
    (left / "half.jpg").write_bytes(b"")
    write_archive(tmp_path / "a.tar.gz", [file("1.jpg")])
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1.jpg"]


@pytest.mark.parametrize(("limit", "value"), [("MAX_MEMBERS", 1), ("MAX_BYTES", 1000)])
def test_a_bomb_is_refused(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(archives, limit, value)
    write_archive(tmp_path / "a.tar.gz", [file("1"), file("2", bytes(10_000))])
    with pytest.raises(InputError, match=f"{value}.*'2'"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
