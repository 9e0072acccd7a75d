import os

import numpy as np
import pytest

from mmroute.errors import InputError
from mmroute.storage import (
    atomic,
    digest_bytes,
    digest_file,
    digest_listing,
    file_name,
    is_file,
    read_json,
    read_vectors,
    write_json,
    write_text,
    write_vectors,
)


def test_a_file_is_whole_or_absent(tmp_path):
    file = tmp_path / "new/file.txt"
    with pytest.raises(RuntimeError), atomic(file) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert list(file.parent.iterdir()) == []


def test_a_failure_leaves_the_old_file(tmp_path):
    file = tmp_path / "file.txt"
    write_text(file, "old")
    with pytest.raises(RuntimeError), atomic(file) as partial:
        partial.write_text("new")
        raise RuntimeError
    assert file.read_text() == "old"


def test_equal_content_is_equal_json(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    write_json(tmp_path / "b.json", {"a": "é", "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": "é", "b": 1}


def test_broken_json_is_named(tmp_path):
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(InputError, match=r"a\.json: not readable as JSON"):
        read_json(tmp_path / "a.json")


def test_vectors_survive(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    write_vectors(tmp_path / "v.parquet", list("abcde"), vectors)
    np.testing.assert_array_equal(read_vectors([tmp_path / "v.parquet"], "abcde"), vectors)


def test_a_long_name_is_cut_and_told_apart(tmp_path):
    assert file_name("é-" * 19) == "é-" * 19
    assert file_name("b" + "a" * 19) == "b" + "a" * 19
    assert file_name("a" * 20) != "a" * 20
    long = [file_name("é-" * 60), file_name("é-" * 61)]
    assert len(set(long)) == 2
    for name in long:
        write_text(tmp_path / f"{name}.0.safetensors", "")


@pytest.mark.parametrize("name", ["gone", "x" * 5000, "a\0b", "folder", "fifo", "circle"])
def test_what_is_no_regular_file_is_none(tmp_path, name):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "circle").symlink_to("circle")
    assert not is_file(tmp_path / name)
    write_text(tmp_path / "file", "")
    assert is_file(tmp_path / "file")


def test_a_files_digest_is_its_contents(tmp_path):
    write_text(tmp_path / "a", "content")
    assert digest_file(tmp_path / "a") == digest_bytes(b"content")


def test_a_listing_changes_when_a_file_does(tmp_path):
    write_text(tmp_path / "a", "1")
    before = digest_listing([tmp_path / "a"])
    assert digest_listing([tmp_path / "a"]) == before
    write_text(tmp_path / "a", "22")
    assert digest_listing([tmp_path / "a"]) != before
