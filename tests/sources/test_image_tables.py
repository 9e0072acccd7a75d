import base64
import csv
import errno
import io
import json
import os
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mmroute.errors import InputError
from mmroute.sources import image_tables
from mmroute.sources.image_tables import entries, extract, find_tables, load


def picture(colour, kind="PNG"):
    content = io.BytesIO()
    Image.new("RGB", (9, 7), colour).save(content, kind)
    return content.getvalue()


def encoded(content):
    return base64.b64encode(content).decode()


RED, BLUE = picture("red"), picture("blue", "JPEG")


def write(path, *rows, columns=("index", "image")):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream, delimiter="\t")
        lines.writerow(columns)
        lines.writerows(rows)
    return path


def extracted(folder, table, dataset="D"):
    """Return the image of each index, and what was remarked how often."""
    extract({dataset: table}, folder)
    rows, remarks = load(folder)
    images = {
        index: None if pd.isna(image) else image
        for index, image in zip(rows["index"], rows["image"], strict=True)
    }
    return images, {what.removeprefix("image tables: "): n for what, (n, _) in remarks.items()}


def test_images_become_files_named_by_index_and_content(tmp_path):
    table = write(tmp_path / "D.tsv", ["1", encoded(RED)], ["b", encoded(BLUE)], ["3", ""])
    images, remarks = extracted(tmp_path / "out", table)
    assert images == {"1": "images/D/1.png", "b": "images/D/b.jpg", "3": None}
    assert (tmp_path / "out/images/D/1.png").read_bytes() == RED
    assert (tmp_path / "out/images/D/b.jpg").read_bytes() == BLUE
    assert remarks == {}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_every_common_format_is_known_by_its_content(tmp_path, kind):
    images, _ = extracted(
        tmp_path / "out", write(tmp_path / "D.tsv", ["1", encoded(picture("red", kind))])
    )
    with Image.open(tmp_path / "out" / images["1"]) as image:
        assert image.format == kind


def test_a_short_cell_points_to_another_row(tmp_path):
    table = write(tmp_path / "D.tsv", ["1", "2"], ["2", "3"], ["3", encoded(RED)], ["4", "3"])
    images, remarks = extracted(tmp_path / "out", table)
    assert set(images.values()) == {"images/D/3.png"}
    assert remarks == {}


def test_pointers_that_lead_nowhere_or_round_are_counted(tmp_path):
    table = write(
        tmp_path / "D.tsv", ["1", "2"], ["2", "1"], ["3", "3"], ["4", "gone"], ["5", encoded(RED)]
    )
    images, remarks = extracted(tmp_path / "out", table)
    assert [images[index] for index in "12345"] == [None] * 4 + ["images/D/5.png"]
    assert remarks == {"rows point to a row without an image and have none": 4}


def test_a_row_may_hold_several_images(tmp_path):
    several = [encoded(RED), encoded(BLUE)]
    both = "images/D/1.png//images/D/1+2.jpg"
    table = write(
        tmp_path / "D.tsv",
        ["1", str(several)],
        ["2", str(several[1:])],
        ["3", "['1']"],
        ["4", json.dumps(several)],
        ["5", "4"],
        ["1+2", several[0]],
    )
    images, remarks = extracted(tmp_path / "out", table)
    assert images == {
        "1": both,
        "2": "images/D/2.jpg",
        "3": both,
        "4": both.replace("/1", "/4"),
        "5": both.replace("/1", "/4"),
        "1+2": "images/D/1%2B2.png",
    }
    assert (tmp_path / "out/images/D/1.png").read_bytes() == RED
    assert (tmp_path / "out/images/D/1+2.jpg").read_bytes() == BLUE
    assert remarks == {}


def test_a_broken_one_among_several_is_counted_and_the_others_stay(tmp_path):
    broken = [encoded(RED), encoded(RED)[:-3], encoded(RED)[:-3], encoded(BLUE)]
    table = write(tmp_path / "D.tsv", ["1", str(broken)], ["2", str(broken[1:3])])
    images, remarks = extracted(tmp_path / "out", table)
    assert images == {"1": "images/D/1.png//images/D/1+4.jpg", "2": None}
    assert remarks == {
        "rows hold no image in valid base64 and a known format, and have only their others": 2
    }


@pytest.mark.parametrize("column", ["image", "image_path"])
def test_a_row_of_too_many_images_is_named(tmp_path, column):
    table = write(
        tmp_path / "D.tsv", ["r", json.dumps(["a.png"] * 1001)], columns=("index", column)
    )
    with pytest.raises(
        InputError, match=r"D\.tsv: the row of index 'r' has 1,001 images, of 1,000"
    ):
        extracted(tmp_path / "out", table)


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ('["a", "b\\u00e9", null, ""]', ["a", "bé"]),
        ("['a', \"it's\" , 'b' ]", ["a", "it's", "b"]),
        ("a//b", ["a//b"]),
        ("", []),
        ("[]", []),
        ("['a', 'b'", ["['a', 'b'"]),
        ("['a', b]", ["['a', b]"]),
        ("[1]", ["[1]"]),
        ("[" * 10**6, ["[" * 10**6]),
    ],
    ids=["json", "python", "no list", "empty", "empty list", "open", "bare", "numbers", "deep"],
)
def test_a_list_is_one_to_its_end(cell, found):
    assert entries(cell) == found


@pytest.mark.parametrize(
    "cell",
    [encoded(RED)[:-3], encoded(RED)[:40] + "!" + encoded(RED)[40:], encoded(b"no image" * 20)],
    ids=["cut", "foreign character", "no image"],
)
def test_a_broken_image_is_counted_and_not_fatal(tmp_path, cell):
    table = write(tmp_path / "D.tsv", ["1", cell], ["2", encoded(RED)])
    images, remarks = extracted(tmp_path / "out", table)
    assert images == {"1": None, "2": "images/D/2.png"}
    assert list(remarks.values()) == [1]


@pytest.mark.parametrize(
    "index", ["../../x", "..", ".", "", "a/b", "a\\b", "a\nb", "é" * 400, "CON"]
)
def test_hostile_names_stay_in_their_folder(tmp_path, index):
    table = write(tmp_path / "D.tsv", [index, encoded(RED)])
    images, _ = extracted(tmp_path / "out", table, dataset=f"../{index}"[:40])
    image = (tmp_path / "out" / images[index]).resolve()
    assert image.read_bytes() == RED
    assert image.parent.parent == (tmp_path / "out/images").resolve()


def test_a_repeated_index_keeps_its_first_image(tmp_path):
    table = write(tmp_path / "D.tsv", ["1", encoded(RED)], ["1", encoded(BLUE)])
    images, remarks = extracted(tmp_path / "out", table)
    assert images == {"1": "images/D/1.png"}
    assert (tmp_path / "out/images/D/1.png").read_bytes() == RED
    assert list(remarks.values()) == [1]


def test_an_image_may_be_named_by_its_path(tmp_path):
    for path in ("in/a.jpg", "in/images/D/b.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(RED)
    (tmp_path / "secret.png").write_bytes(RED)
    table = write(
        tmp_path / "in/D.tsv",
        ["1", "a.jpg"],
        ["2", "['b.jpg', 'a.jpg']"],
        ["3", "gone.jpg"],
        ["4", "../secret.png"],
        ["5", str(tmp_path / "secret.png")],
        ["6", str(tmp_path / "in/a.jpg")],
        columns=("index", "image_path"),
    )
    images, remarks = extracted(tmp_path / "out", table)
    assert images == {
        "1": "images/D/1.png",
        "2": "images/D/2.png//images/D/2+2.png",
        "3": None,
        "4": None,
        "5": None,
        "6": "images/D/6.png",
    }
    assert sorted(remarks.values()) == [1, 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "needs 'index'"),
        (b"index\tquestion\n1\twhy\n", "needs 'index'"),
        (b"image\nAAAA\n", "needs 'index'"),
        (b"index\timage\n1\n", "row 1 has 1 cells, not 2"),
        (b"index\timage\n\xff\tx\n", "utf-8"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_clear_line(tmp_path, content, said):
    (tmp_path / "D.tsv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        extract({"D": tmp_path / "D.tsv"}, tmp_path / "out")
    assert str(tmp_path / "D.tsv") in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cell_longer_than_memory_allows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(image_tables, "LONGEST_CELL", 50)
    limit = csv.field_size_limit()
    with pytest.raises(InputError, match="field larger than field limit"):
        extract({"D": write(tmp_path / "D.tsv", ["1", encoded(RED)])}, tmp_path / "out")
    assert csv.field_size_limit() == limit


def test_images_are_whole_or_as_they_were(tmp_path):
    good = write(tmp_path / "good.tsv", ["1", encoded(RED)])
    bad = write(tmp_path / "bad.tsv", ["1", encoded(RED)], ["2"])
    with pytest.raises(InputError):
        extract({"good": good, "bad": bad}, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    extract({"good": good}, tmp_path / "out")
    with pytest.raises(InputError):
        extract({"bad": bad}, tmp_path / "out")
    assert load(tmp_path / "out")[0]["dataset"].tolist() == ["good"]


def test_a_table_is_found_under_its_name_or_its_plain_spelling(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first / "MMMUDEVVAL.tsv", second / "MMMU_DEV_VAL.tsv", second / "AI2D_TEST.tsv"):
        write(path, ["1", ""])
    found = find_tables([first, second, tmp_path / "gone"], ["MMMU_DEV_VAL", "AI2D_TEST", "MMStar"])
    assert found == {
        "MMMU_DEV_VAL": second / "MMMU_DEV_VAL.tsv",
        "AI2D_TEST": second / "AI2D_TEST.tsv",
    }


def test_a_pipe_in_place_of_a_table_is_refused(tmp_path):
    os.mkfifo(tmp_path / "D.tsv")
    with pytest.raises(InputError, match=r"D\.tsv: is a pipe"):
        extract({"D": tmp_path / "D.tsv"}, tmp_path / "out")


def test_a_full_disk_is_not_blamed_on_the_table(tmp_path, monkeypatch):
    table = write(tmp_path / "D.tsv", ("1", encoded(picture("red"))))

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OSError, match="No space left on device") as caught:
        extract({"D": table}, tmp_path / "out")
    assert caught.value.filename == str(tmp_path / "out/images")
    assert list((tmp_path / "out").iterdir()) == []
