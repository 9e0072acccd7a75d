"""What is remembered of files saves reading them, and never changes what is said of them."""

import json
import os

import pytest

from mmroute import known_files
from mmroute.known_files import KnownFiles
from mmroute.storage import digest_sha256


@pytest.fixture
def files(tmp_path):
    """Return two files that changed long enough ago to be remembered."""
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    monkeypatch.setattr(known_files, "_SETTLED_NS", -1)


@pytest.fixture
def read(monkeypatch):
    """Return a list that every file is added to whose content is read."""
    digest, read = known_files.digest_file, []

    def digest_file(path):
        read.append(path.name)
        return digest(path)

    monkeypatch.setattr(known_files, "digest_file", digest_file)
    monkeypatch.setattr(KnownFiles._digest, "__defaults__", (digest_file,))
    return read


def fingerprint(path, files):
    known = KnownFiles(path)
    try:
        return known.fingerprint(files)
    finally:
        known.keep()


def test_content_is_read_once(tmp_path, files, read):
    first = fingerprint(tmp_path / "known.json", files)
    assert sorted(read) == ["a", "b"]
    assert fingerprint(tmp_path / "known.json", files) == first
    assert sorted(read) == ["a", "b"]
    os.utime(files[0], (1, 1))
    assert fingerprint(tmp_path / "known.json", files) == first
    assert sorted(read) == ["a", "a", "b"]


def test_what_changed_just_now_is_not_remembered(tmp_path, files, read, monkeypatch):
    monkeypatch.setattr(known_files, "_SETTLED_NS", 10**12)
    first = fingerprint(tmp_path / "known.json", files)
    assert fingerprint(tmp_path / "known.json", files) == first
    assert len(read) == 4
    assert not (tmp_path / "known.json").exists()


def test_order_repetition_and_missing_files(tmp_path, files):
    whole = fingerprint(None, files)
    assert fingerprint(None, [*reversed(files), files[0]]) == whole
    with_missing = fingerprint(None, [*files, tmp_path / "c"])
    assert with_missing != whole
    for none in (tmp_path, tmp_path / ("x" * 5000), tmp_path / "\0", tmp_path / "caf\udce9"):
        assert len(fingerprint(None, [*files, none])) == 32
    os.mkfifo(tmp_path / "c")
    assert fingerprint(None, [*files, tmp_path / "c"]) == with_missing
    (tmp_path / "c").unlink()
    (tmp_path / "c").touch()
    assert fingerprint(None, [*files, tmp_path / "c"]) != with_missing


def test_much_content_is_told_apart_by_size_and_time(tmp_path, files, read, monkeypatch):
    monkeypatch.setattr(known_files, "MOST_CONTENT", 1)
    first = fingerprint(tmp_path / "known.json", files)
    os.utime(files[0], (1, 1))
    assert fingerprint(tmp_path / "known.json", files) != first
    assert read == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"7",
        b'{"digests": {}, "names": []}',
        b'{"digests": {"a": "b"}, "names": {}}',
        b'{"digests": {"a": [1, 2, 3]}, "names": {}}',
        b'{"digests": {}, "names": {"a": [1]}}',
        b"[" * 100_000,
    ],
)
def test_what_was_kept_may_be_damaged(tmp_path, files, content):
    whole = fingerprint(None, files)
    (tmp_path / "known.json").write_bytes(content)
    assert fingerprint(tmp_path / "known.json", files) == whole
    assert fingerprint(tmp_path / "known.json", files) == whole


def test_names_are_read_again_only_if_a_file_or_the_reader_changed(tmp_path, files):
    calls = []

    def names(reader="one"):
        known = KnownFiles(tmp_path / "known.json")
        answer = known.names(reader, files, lambda: calls.append(reader) or ["b", "a", "b"])
        known.keep()
        return answer

    assert names() == names() == ["a", "b"]
    assert calls == ["one"]
    names("other")
    files[0].write_bytes(b"changed")
    names("other")
    assert calls == ["one", "other", "other"]


def test_only_what_was_asked_for_is_kept(tmp_path, files):
    path = tmp_path / "known.json"
    fingerprint(path, files)
    fingerprint(path, files[:1])
    assert len(json.loads(path.read_bytes())["digests"]) == 1


def test_a_download_has_the_hash_of_its_hub(tmp_path, files):
    assert KnownFiles().sha256(files[0]) == digest_sha256(files[0])
    assert KnownFiles().sha256(tmp_path / "gone") is None


def test_where_nothing_can_be_kept_nothing_is_said(tmp_path, files):
    (tmp_path / "file").touch()
    assert fingerprint(tmp_path / "file/known.json", files) == fingerprint(None, files)
