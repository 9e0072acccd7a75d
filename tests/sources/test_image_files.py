from pathlib import Path

import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.sources.image_files import (
    digests,
    index_by_tail,
    list_images,
    locate,
    relative_paths,
    spelled_each,
)
from mmroute.storage import digest_bytes


def touch(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_images_are_listed_shallowest_first_and_nothing_else(tmp_path):
    for name in ("b/2.PNG", "a/x/1.jpg", "a/3.webp", "a/notes.txt", "table.csv"):
        touch(tmp_path / name)
    assert list_images(tmp_path) == ["a/3.webp", "b/2.PNG", "a/x/1.jpg"]


def test_linked_folders_are_followed_but_not_in_a_circle(tmp_path):
    touch(tmp_path / "disk/X/1.jpg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "X").symlink_to(tmp_path / "disk/X")
    (tmp_path / "disk/X/again").symlink_to(root)
    assert list_images(root) == ["X/1.jpg"]


def test_a_file_is_found_by_any_trailing_part_of_its_path():
    index = index_by_tail(["X/1.jpg", "images/deep/X/1.jpg", "images/deep/X/2.jpg"])
    assert index["X/1.jpg"] == "X/1.jpg"
    assert index["deep/X/1.jpg"] == "images/deep/X/1.jpg"
    assert index["X/2.jpg"] == "images/deep/X/2.jpg"
    assert "X/3.jpg" not in index


def test_paths_are_spelled_from_the_root(tmp_path):
    cells = pd.Series(["./a//1.jpg", str(tmp_path / "b/2.jpg"), ""], name="image")
    spelled = relative_paths(cells, tmp_path, Path("t.csv"))
    assert spelled.tolist() == ["a/1.jpg", "b/2.jpg", ""]


@pytest.mark.parametrize("path", ["../1.jpg", "/etc/passwd", "a/../../1.jpg", "..\\1.jpg"])
def test_a_path_out_of_the_root_is_refused(tmp_path, path):
    cells = pd.Series(["ok.jpg", path], index=["s1", "s2"], name="image")
    with pytest.raises(InputError) as caught:
        relative_paths(cells, tmp_path, Path("t.csv"))
    assert all(part in str(caught.value) for part in ("t.csv", "'image'", "'s2'", repr(path)))


def test_digests_are_of_the_content_and_null_without_an_image(tmp_path):
    touch(tmp_path / "1.jpg", b"pixels")
    images = pd.Series(["1.jpg", None, "1.jpg"])
    digest = digest_bytes(b"pixels")
    assert digests(images, tmp_path).astype(object).where(images.notna(), None).tolist() == [
        digest,
        None,
        digest,
    ]


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "1.jpg").symlink_to("gone.jpg")
    with pytest.raises(InputError, match=r"1\.jpg: the image cannot be read"):
        digests(pd.Series(["1.jpg"]), tmp_path)


def test_several_images_have_the_digests_of_each_in_their_order(tmp_path):
    touch(tmp_path / "1.jpg", b"one")
    touch(tmp_path / "2.jpg", b"two")
    found = digests(pd.Series(["1.jpg//2.jpg", "2.jpg//1.jpg", "1.jpg"]), tmp_path)
    one, two = digest_bytes(b"one"), digest_bytes(b"two")
    assert found.tolist() == [f"{one}//{two}", f"{two}//{one}", one]


def test_images_are_located_and_what_is_lost_is_told_by_sample(tmp_path):
    touch(tmp_path / "in/1.jpg", b"one")
    touch(tmp_path / "in/2.jpg", b"two")
    named = pd.Series(["1.jpg//no.jpg//2.jpg", "", "no.jpg", "2.jpg"], index=list("abcd"))
    found = locate(named, tmp_path, "in/")
    one, two = digest_bytes(b"one"), digest_bytes(b"two")
    assert found.image.fillna("").tolist() == ["in/1.jpg//in/2.jpg", "", "", "in/2.jpg"]
    assert found.image_digest.fillna("").tolist() == [
        f"{one}//unknown no.jpg//{two}",
        "",
        "unknown no.jpg",
        two,
    ]
    assert list(found.lost.items()) == [("a", "in/no.jpg"), ("c", "in/no.jpg")]


def test_lists_are_spelled_entry_by_entry(tmp_path):
    lists = pd.Series([["./a.jpg", "b//c.jpg"], [], ["d.jpg"]], index=list("xyz"), name="image")
    spelled = spelled_each(lists, lambda cells: relative_paths(cells, tmp_path, Path("t.csv")))
    assert spelled == ["a.jpg//b/c.jpg", "", "d.jpg"]
    lists["z"] = ["d.jpg", "../e.jpg"]
    with pytest.raises(InputError, match=r"'image' of 'z' holds '\.\./e\.jpg'"):
        spelled_each(lists, lambda cells: relative_paths(cells, tmp_path, Path("t.csv")))
