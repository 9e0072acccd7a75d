import errno
import gzip
import json
import math
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather

from mmroute.confined import Limits, confined
from mmroute.errors import InputError, Undecided
from mmroute.sources import cells as cells_module
from mmroute.sources.cells import CORRECTNESS_WORDS, column_names, nullable, numbers, read_cells

pytestmark = pytest.mark.slow

FRAME = pd.DataFrame(
    {
        "sample_id": ["a", "b"],
        "question": ['says "NA",\nthen é', None],
        "utility": [1.0, math.nan],
        "tokens": [12, 7],
        "judged": [True, False],
    }
)
WRITERS = {
    "csv": lambda path: FRAME.to_csv(path, index=False),
    "tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t"),
    "parquet": lambda path: FRAME.to_parquet(path, index=False),
    "feather": lambda path: FRAME.to_feather(path),
    "jsonl": lambda path: FRAME.to_json(path, orient="records", lines=True),
    "json": lambda path: FRAME.to_json(path, orient="records"),
    "csv.gz": lambda path: FRAME.to_csv(path, index=False),
    "TSV.GZ": lambda path: path.write_bytes(
        gzip.compress(FRAME.to_csv(index=False, sep="\t").encode())
    ),
    "jsonl.gz": lambda path: FRAME.to_json(path, orient="records", lines=True),
    "json.gz": lambda path: FRAME.to_json(path, orient="records"),
    "xlsx": lambda path: FRAME.to_excel(path, index=False),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_gives_the_same_text(tmp_path, suffix):
    path = tmp_path / f"table.{suffix}"
    WRITERS[suffix](path)
    cells = read_cells(path)
    assert column_names(path) == list(cells.columns) == list(FRAME.columns)
    assert cells["sample_id"].tolist() == ["a", "b"]
    assert cells["question"].tolist() == ['says "NA",\nthen é', ""]
    assert cells["judged"].str.lower().tolist() == ["true", "false"]
    np.testing.assert_array_equal(numbers(cells["utility"], path), [1.0, math.nan])
    np.testing.assert_array_equal(numbers(cells["tokens"], path), [12, 7])


def test_no_text_is_taken_for_a_missing_value_or_a_number(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\ufeffid,answer\n1,NA\n2,None\n3,007\n4,\n5,true\n", encoding="utf-8")
    cells = read_cells(path)
    assert cells["id"].tolist() == ["1", "2", "3", "4", "5"]
    assert cells["answer"].tolist() == ["NA", "None", "007", "", "true"]
    assert nullable(cells["answer"]).tolist() == ["NA", "None", "007", None, "true"]


@given(value=st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_a_number_survives_as_text(value):
    assert numbers(pd.Series([repr(value)], name="cost"), Path("t.csv")) == [value]


@pytest.mark.parametrize(
    ("text", "highest", "wanted"),
    [("-0.5", None, "at least 0"), ("1.01", 1, "from 0 to 1"), ("-1", 1, "from 0 to 1")],
)
def test_a_number_out_of_range_is_refused(text, highest, wanted):
    cells = pd.Series(["1", text], name="M_cost", index=["a", "b"])
    with pytest.raises(
        InputError, match=rf"t\.csv: column 'M_cost' of 'b' holds '{text}'.*{wanted}"
    ):
        numbers(cells, Path("t.csv"), highest=highest)


def test_correctness_may_be_words_and_missing_may_be_said(tmp_path):
    cells = pd.Series(["True", "false", " 0.25 ", "", "NaN", "None", "Correct"], name="M_correct")
    np.testing.assert_array_equal(
        numbers(cells, tmp_path, CORRECTNESS_WORDS), [1, 0, 0.25, math.nan, math.nan, math.nan, 1]
    )


@pytest.mark.parametrize("bad", ["maybe", "inf", "-inf", "85%", "1e999", "True"])
def test_a_cell_that_is_no_number_is_named(bad):
    cells = pd.Series(["1", bad, bad], index=["s1", "s2", "s3"], name="M_cost")
    with pytest.raises(InputError) as caught:
        numbers(cells, Path("t.csv"))
    assert all(part in str(caught.value) for part in ("t.csv", "'M_cost'", "'s2'", repr(bad)))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "Empty"),
        ("t.csv", b"a,b\n", "no rows"),
        ("t.csv", b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        ("t.csv", b"a,b\n1,2,3\n", "Expected 2 columns, got 3"),
        ("t.csv", b'a,b\n1,2\n"3,4\n5,6\n', "Expected 2 columns"),
        ("t.csv", b"a,b\n1,\xff\n", "UTF-8"),
        ("t.csv", b"a,a\n1,2\n", "'a' appears twice"),
        ("t.parquet", b"PAR1 broken", "PARQUET"),
        ("t.json", b'{"a": 1}', "JSON (it is no list of objects"),
        ("t.json", b'[{"a": 1}, 2]', "record 2 is no JSON object"),
        ("t.json", b'[{"a": 1, "a": 2}]', "record 1 names a column twice"),
        ("t.json", b'[{"a": [1]}]', "'a' holds lists or objects"),
        ("t.json", b"[]", "no rows"),
        ("t.json.gz", b"[{}]", "JSON (Not a gzipped file"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "CSV (Compressed file ended"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,\xff\n", mtime=0), "byte 0xff in line 2 is no UTF-8"),
        ("t.parquet.gz", b"", "or .gz of one of .csv, .tsv"),
        ("t.feather", b"broken", "FEATHER"),
        ("t.jsonl", b'{"a": 1}\n[2]\n', "line 2"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "JSONL (line 2: Expecting value, character"),
        ("t.jsonl", b'{"a": [1, 2]}\n', "'a' holds lists"),
        ("t.ods", b"", "'.ods'"),
        ("t.xlsx", b"", "zip"),
        ("t.xlsx", b"PK\x03\x04 broken", "zip"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_cells(path)
    message = str(caught.value)
    assert str(path) in message
    assert said in message
    assert "\n" not in message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv"):
        read_cells(tmp_path / "gone.csv")


def test_a_parquet_column_of_lists_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"choices": [["A", "B"]]}).to_parquet(path)
    with pytest.raises(InputError, match="'choices' holds list"):
        read_cells(path)


def test_json_lines_may_lack_keys_and_be_blank(tmp_path):
    path = tmp_path / "t.jsonl"
    lines = [json.dumps({"a": "x"}), "", json.dumps({"a": None, "b": 2})]
    path.write_text("\n".join(lines), encoding="utf-8")
    cells = read_cells(path)
    assert cells.to_dict("list") == {"a": ["x", ""], "b": ["", "2"]}


def workbook(path, *rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_a_spreadsheet_keeps_text_and_writes_integers_as_such(tmp_path):
    cells = read_cells(
        workbook(
            tmp_path / "t.xlsx",
            ["index", "answer", None, "hit"],
            [1, "NA", None, True],
            [2.0, "007", "x", 0.25],
            ["a\nb", None, None, None],
        )
    )
    assert cells.to_dict("list") == {
        "index": ["1", "2", "a\nb"],
        "answer": ["NA", "007", ""],
        "Unnamed: 2": ["", "x", ""],
        "hit": ["True", "0.25", ""],
    }


@pytest.mark.parametrize(
    ("rows", "said"),
    [([], "empty"), ([["a", "b"]], "no rows"), ([["a", "a"], [1, 2]], "'a' appears twice")],
)
def test_a_spreadsheet_without_a_table_is_refused(tmp_path, rows, said):
    with pytest.raises(InputError, match=rf"t\.xlsx: .*{said}"):
        read_cells(workbook(tmp_path / "t.xlsx", *rows))


@pytest.mark.parametrize("position", range(20, 2000, 90))
def test_a_damaged_spreadsheet_gives_one_clear_line_or_its_text(tmp_path, position):
    path = workbook(tmp_path / "t.xlsx", ["index", "answer"], [1, "a"])
    content = bytearray(path.read_bytes())
    content[position : position + 8] = b"\xff\0\x07AZ\x80\x01<"
    path.write_bytes(content)
    try:
        said = f"{len(read_cells(path))} row"
    except InputError as error:
        said = str(error)
    assert said == "1 row" or (str(path) in said and "\n" not in said)


@pytest.mark.parametrize("spelling", ['r="XFD1048576"', "r = 'xfd0001048576'"])
def test_a_sheet_that_spans_more_than_memory_is_refused_before_it_is_laid_out(tmp_path, spelling):
    workbook(tmp_path / "small.xlsx", ["index"], [1])
    with (
        zipfile.ZipFile(tmp_path / "small.xlsx") as small,
        zipfile.ZipFile(tmp_path / "t.xlsx", "w") as large,
    ):
        for name in small.namelist():
            large.writestr(name, small.read(name).replace(b'r="A2"', spelling.encode()))
    with pytest.raises(InputError, match="may span 1048576 rows and 16384 columns"):
        read_cells(tmp_path / "t.xlsx")


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cells_module, "MAX_SHEET_BYTES", 1000)
    with pytest.raises(InputError, match="unpacks to more than 1000 bytes"):
        read_cells(workbook(tmp_path / "t.xlsx", ["a"], [1]))


def test_a_number_with_an_underscore_is_refused():
    with pytest.raises(InputError, match="'1_0'"):
        numbers(pd.Series(["1_0"], name="cost"), Path("t.csv"))


def test_json_lines_that_name_a_column_twice_are_refused(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"utility": 0, "utility": 1}\n')
    with pytest.raises(InputError, match="line 1 names a column twice"):
        read_cells(path)


def test_a_parquet_page_that_differs_from_its_checksum_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"a": ["a sentinel", "b"]})
    pq.write_table(table, path, write_page_checksum=True, compression="none")
    path.write_bytes(path.read_bytes().replace(b"a sentinel", b"a sentimel"))
    with pytest.raises(InputError, match=r"t\.parquet: not readable as PARQUET \(.*checksum"):
        read_cells(path)


def test_text_that_is_no_utf_8_is_refused(tmp_path):
    path = tmp_path / "t.feather"
    feather.write_feather(pa.table({"a": ["a sentinel"]}), path, compression="uncompressed")
    path.write_bytes(path.read_bytes().replace(b"a sentinel", b"a sent\xffnel"))
    with pytest.raises(InputError, match=r"t\.feather: not readable as FEATHER \(.*UTF8"):
        read_cells(path)


def test_a_long_cell_is_cut_in_the_message():
    with pytest.raises(InputError) as caught:
        numbers(pd.Series(["x" * 70_000], name="cost"), Path("t.csv"))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_pipe_in_place_of_a_table_is_refused(tmp_path, suffix):
    path = tmp_path / f"table.{suffix}"
    os.mkfifo(path)
    for read in (read_cells, column_names):
        with pytest.raises(InputError, match=rf"table\.{suffix}: is a pipe, no regular file"):
            read(path)


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_table_of_a_million_columns_is_refused_at_once(tmp_path, separator):
    path = tmp_path / ("t.csv" if separator == "," else "t.tsv")
    path.write_text(separator.join(["a"] * 10**6) + "\n")
    began = time.monotonic()
    for read in (read_cells, column_names):
        with pytest.raises(InputError, match=r"1,000,000 columns, of 100,000"):
            read(path)
    assert time.monotonic() - began < 60


def test_more_columns_than_a_table_has_are_refused_in_every_format(tmp_path, monkeypatch):
    monkeypatch.setattr(cells_module, "MAX_COLUMNS", 4)
    for suffix, write in WRITERS.items():
        write(tmp_path / f"table.{suffix}")
        with pytest.raises(InputError, match="5 columns, of 4 that a table may have"):
            read_cells(tmp_path / f"table.{suffix}")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_twenty_thousand_columns_are_read(tmp_path, suffix):
    names = [f"c{number}" for number in range(20_000)]
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        path.write_text(",".join(names) + "\n" + ",".join(["1"] * 20_000) + "\n")
    else:
        path.write_text(json.dumps(dict.fromkeys(names, 1)) + "\n")
    began = time.monotonic()
    assert read_cells(path).shape == (1, 20_000)
    assert time.monotonic() - began < 120


def test_lines_that_each_have_keys_of_their_own_are_refused(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"k{number}": 1}}\n' for number in range(20_000)))
    began = time.monotonic()
    with pytest.raises(InputError, match=r"20,000 records have 20,000 different keys"):
        read_cells(path)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a": ' * 10**5, '{"a": ' + "[" * 10**5])
def test_json_that_nests_without_end_is_refused(tmp_path, text):
    path = tmp_path / "t.jsonl"
    path.write_text(text + "\n")
    for read in (read_cells, column_names):
        with pytest.raises(InputError, match=r"not readable as JSONL \(maximum recursion"):
            read(path)


@pytest.mark.parametrize("parts", [["x" * 3 * 2**20], ["x", "y" * 3 * 2**20, "z"]])
def test_a_cell_of_megabytes_is_refused_before_it_is_laid_out(tmp_path, parts):
    path = tmp_path / "t.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["name"])
    for part in parts:
        book.active.append([f"a sentinel {part[0]}"])
    book.save(path)
    with zipfile.ZipFile(path) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    assert sum(b"a sentinel" in content for content in members.values()) == 1
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            for part in parts:
                content = content.replace(f"a sentinel {part[0]}".encode(), part.encode())
            archive.writestr(name, content)
    with pytest.raises(InputError, match=r"t\.xlsx: .*a cell of more than 1048576 bytes"):
        read_cells(path)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("t.parquet", lambda path, schema: pq.ParquetWriter(path, schema, compression="zstd")),
        (
            "t.feather",
            lambda path, schema: pa.ipc.new_file(
                path, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
            ),
        ),
    ],
)
def test_a_table_that_unpacks_to_more_memory_than_is_allowed_is_named(tmp_path, name, start):
    batch = pa.record_batch({"a": ["x" * 10**7]})
    with start(tmp_path / name, batch.schema) as writer:
        for _ in range(150):
            writer.write_batch(batch)
    assert (tmp_path / name).stat().st_size < 10**6
    with pytest.raises(InputError, match=rf"{name}: takes more than 1 GB.*limits\.gigabytes"):
        confined(lambda: read_cells(tmp_path / name).shape, Limits(1, 600))


def test_a_broken_disk_is_not_blamed_on_the_table(tmp_path, monkeypatch):
    WRITERS["jsonl"](tmp_path / "t.jsonl")

    def broken(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(json, "loads", broken)
    with pytest.raises(OSError, match="Input/output error") as caught:
        read_cells(tmp_path / "t.jsonl")
    assert caught.value.filename == str(tmp_path / "t.jsonl")


def test_a_packed_table_unpacks_to_so_much_and_no_more(tmp_path, monkeypatch):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"1\n" * 499))
    monkeypatch.setattr(cells_module, "MAX_UNPACKED_BYTES", 1000)
    assert len(read_cells(path)) == 499
    monkeypatch.setattr(cells_module, "MAX_UNPACKED_BYTES", 999)
    with pytest.raises(InputError, match=r"t\.csv\.gz: .*unpacks to more than 999 bytes"):
        read_cells(path)


@pytest.mark.parametrize("size", [4, 5, 6, 7, 64])
def test_a_byte_that_is_no_utf8_is_found_in_a_line_that_is_longer_than_a_block(
    tmp_path, monkeypatch, size
):
    path = tmp_path / "t.json"
    path.write_bytes('[\n{"é": "ééé'.encode() + b'\xe9"}]')
    monkeypatch.setattr(cells_module, "CSV_BLOCK_BYTES", size)
    with pytest.raises(Undecided, match="byte 0xe9 in line 2 is no UTF-8, and may be cp1252") as no:
        read_cells(path)
    assert no.value.keys == {"encoding": "cp1252"}
    path.write_bytes('[\n{"é": "ééé'.encode())
    with pytest.raises(InputError, match="not readable as JSON"):
        read_cells(path)
