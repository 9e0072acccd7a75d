import base64
import io
import json
import os
import time
import warnings
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyarrow import feather

from mmroute.errors import InputError, Undecided
from mmroute.outcomes.pool import mask_unpriced, reprice
from mmroute.sources.table import TableSource, _gather
from mmroute.storage import digest_bytes

LONG = pd.DataFrame(
    {
        "sample_id": ["s2", "s2", "s1"],
        "model": ["big", "small", "small"],
        "utility": [1.0, 0.0, 0.5],
        "cost": [0.2, 0.1, np.nan],
        "question": ["two?", "two?", "one?"],
    }
)


def write(folder, frame=LONG, name="mine.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    match path.suffix:
        case ".parquet":
            frame.to_parquet(path)
        case ".feather":
            frame.to_feather(path)
        case ".xlsx":
            frame.to_excel(path, index=False)
        case ".jsonl":
            frame.to_json(path, orient="records", lines=True)
        case suffix:
            frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    return str(path)


def read(path, **arguments):
    source = TableSource(path, **arguments)
    return source.read(source.fetch(None))


FORMATS = pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl", "feather", "xlsx"])


@FORMATS
def test_a_long_table_is_pivoted_in_the_order_of_first_appearance(tmp_path, suffix):
    table = read(write(tmp_path, name=f"mine.{suffix}"))
    assert table.samples["sample_id"].tolist() == ["s2", "s1"]
    assert table.models["model"].tolist() == ["big", "small"]
    np.testing.assert_array_equal(table.utility, [[1, 0], [np.nan, 0.5]])
    np.testing.assert_array_equal(table.cost, [[0.2, 0.1], [np.nan, np.nan]])
    assert np.isnan(table.prompt_tokens).all()
    assert table.samples["question"].tolist() == ["two?", "one?"]
    assert table.samples["dataset"].tolist() == ["", ""]
    assert table.samples["scenario"].tolist() == ["", ""]
    assert table.samples[["answer", "image", "image_digest"]].isna().all(axis=None)
    assert (table.prediction == None).all()  # noqa: E711


def test_tokens_may_stand_for_costs_and_responses_are_predictions(tmp_path):
    frame = LONG.drop(columns="cost").assign(
        prompt_tokens=[10, 20, 30], completion_tokens=[1, 2, 3], response=["a", "", "c"]
    )
    with pytest.warns(UserWarning, match="1 answers that are empty, or .* count as wrong"):
        table = read(write(tmp_path, frame))
    np.testing.assert_array_equal(table.prompt_tokens, [[10, 20], [np.nan, 30]])
    np.testing.assert_array_equal(table.completion_tokens, [[1, 2], [np.nan, 3]])
    assert np.isnan(table.cost).all()
    assert table.prediction.tolist() == [["a", None], [None, "c"]]
    assert not [name for name in table.samples if name.startswith("tag_")]


def test_sample_columns_and_tags_are_taken_from_the_rows(tmp_path):
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics/1.jpg").write_bytes(b"pixels")
    frame = LONG.assign(
        dataset=["B", "B", "A"],
        scenario=["", "", "group"],
        answer=["x", "x", "NA"],
        image=["", "pics/1.jpg", "pics/gone.jpg"],
        level=["3", "", "1"],
    )
    said = r"mine\.csv: column 'image': 1 of 2 images .* such as 'pics/gone\.jpg' of 's1'"
    with pytest.warns(UserWarning, match=said) as warned:
        samples = read(write(tmp_path, frame)).samples
    assert len(warned) == 1
    assert samples["dataset"].tolist() == ["B", "A"]
    assert samples["scenario"].tolist() == ["B", "group"]
    assert samples["answer"].tolist() == ["x", "NA"]
    assert samples["tag_level"].tolist() == ["3", "1"]
    assert samples["image"].isna().tolist() == [False, True]
    assert samples["image"][0] == "pics/1.jpg"
    assert samples["image_digest"][0] == digest_bytes(b"pixels")


def test_sample_columns_may_stand_in_a_second_file(tmp_path):
    samples = pd.DataFrame(
        {"sample_id": ["s0", "s1", "s2"], "question": ["0", "1", "2"], "level": ["a", "b", "c"]}
    )
    table = read(
        write(tmp_path, LONG.drop(columns="question")),
        samples=write(tmp_path, samples, "samples.parquet"),
    )
    assert table.samples["sample_id"].tolist() == ["s2", "s1"]
    assert table.samples["question"].tolist() == ["2", "1"]
    assert table.samples["tag_level"].tolist() == ["c", "b"]


def test_a_sample_without_a_row_in_the_second_file_is_named(tmp_path):
    samples = write(tmp_path, pd.DataFrame({"sample_id": ["s2"], "question": ["2"]}), "s.csv")
    with pytest.raises(InputError, match=r"s\.csv: column 'sample_id' lacks 's1' of .*mine\.csv"):
        read(write(tmp_path), samples=samples)


def test_columns_can_be_renamed_even_in_a_swap(tmp_path):
    frame = LONG.rename(
        columns={"sample_id": "id", "utility": "score", "question": "answer"}
    ).assign(question=["A2", "A2", "A1"])
    columns = {"sample_id": "id", "utility": "score", "question": "answer", "answer": "question"}
    table = read(write(tmp_path, frame), columns=columns)
    np.testing.assert_array_equal(table.utility, [[1, 0], [np.nan, 0.5]])
    assert table.samples["question"].tolist() == ["two?", "one?"]
    assert table.samples["answer"].tolist() == ["A2", "A1"]
    assert not [name for name in table.samples if name.startswith("tag_")]


def test_a_wide_table_is_read_by_suffix(tmp_path):
    frame = pd.DataFrame(
        {
            "dataset_idx": ["X_1", "X_2"],
            "prompt": ["one?", "two?"],
            "level": ["a", "b"],
            "b_correct": [1, 0],
            "b_cost": [0.5, 0.25],
            "a_correct": ["True", ""],
            "a_token": [5, 6],
        }
    )
    table = read(write(tmp_path, frame), shape="wide", columns={"question": "prompt"})
    assert table.models["model"].tolist() == ["b", "a"]
    assert table.samples["sample_id"].tolist() == ["X_1", "X_2"]
    assert table.samples["dataset"].tolist() == ["", ""]
    assert table.samples["question"].tolist() == ["one?", "two?"]
    assert table.samples["tag_level"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(table.utility, [[1, 1], [0, np.nan]])
    np.testing.assert_array_equal(table.cost, [[0.5, np.nan], [0.25, np.nan]])
    np.testing.assert_array_equal(table.completion_tokens, [[np.nan, 5], [np.nan, 6]])


@FORMATS
@pytest.mark.filterwarnings("error::UserWarning")
def test_a_wide_table_is_the_same_in_every_format_and_under_other_names(tmp_path, suffix):
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics/1.jpg").write_bytes(b"pixels")
    frame = pd.DataFrame(
        {
            "id": [1, 2],
            "prompt": ["one?", "two?"],
            "gold": ["NA", "007"],
            "subset": ["A", "B"],
            "group": ["G", "G"],
            "file": ["pics/1.jpg", ""],
            "level": [3, 4],
            "m_correct": [True, False],
            "m_cost": [0.5, 1e-7],
        }
    )
    columns = {
        "sample_id": "id",
        "question": "prompt",
        "answer": "gold",
        "dataset": "subset",
        "scenario": "group",
        "image": "file",
    }
    path = write(tmp_path, frame, f"mine.{suffix}")
    table = read(path, shape="wide", columns=columns)
    samples = table.samples
    assert samples["sample_id"].tolist() == ["1", "2"]
    assert samples["question"].tolist() == ["one?", "two?"]
    assert samples["answer"].tolist() == ["NA", "007"]
    assert samples["dataset"].tolist() == ["A", "B"]
    assert samples["scenario"].tolist() == ["G", "G"]
    assert samples["image"].fillna("").tolist() == ["pics/1.jpg", ""]
    assert [name for name in samples if name.startswith("tag_")] == ["tag_level"]
    np.testing.assert_array_equal(table.utility, [[1], [0]])
    np.testing.assert_array_equal(table.cost, [[0.5], [1e-7]])
    source = TableSource(path, shape="wide", columns=columns)
    assert source.local_files() == [tmp_path / f"mine.{suffix}"]
    assert source.image_files(list(source.image_names())) == [tmp_path / "pics/1.jpg"]


TYPED = {
    "sample_id": pa.array([1, 2], pa.int32()),
    "model": pa.array(["m", "m"]).dictionary_encode(),
    "utility": pa.array([True, False]),
    "cost": pa.array([Decimal("0.10"), None], pa.decimal128(10, 2)),
    "question": pa.array(["one?", None], pa.large_string()),
    "answer": pa.array([b"7", None]),
    "day": pa.array([date(2024, 1, 2), None]),
    "time": pa.array([datetime(2024, 1, 2, 3, 4, 5), None], pa.timestamp("s")),
    "level": pa.array([0.1, 1.0], pa.float32()),
    "group": pa.array([7, 8]).dictionary_encode(),
    "gone": pa.nulls(2),
}


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_typed_columns_are_read_as_their_text(tmp_path, suffix):
    path = tmp_path / f"mine.{suffix}"
    {"parquet": pq.write_table, "feather": feather.write_feather}[suffix](pa.table(TYPED), path)
    table = read(str(path))
    np.testing.assert_array_equal(table.utility, [[1], [0]])
    np.testing.assert_array_equal(table.cost, [[0.1], [np.nan]])
    samples = table.samples
    assert samples["sample_id"].tolist() == ["1", "2"]
    assert samples["question"].tolist() == ["one?", ""]
    assert samples["answer"].fillna("").tolist() == ["7", ""]
    assert samples["tag_day"].tolist() == ["2024-01-02", ""]
    assert samples["tag_time"].tolist()[0].startswith("2024-01-02 03:04:05")
    assert samples["tag_level"].tolist() == ["0.1", "1"]
    assert samples["group"].tolist() == ["7", "8"]
    assert samples["tag_gone"].tolist() == ["", ""]


@pytest.mark.parametrize("shape", ["long", "wide"])
def test_groups_are_a_column_or_what_the_config_calls_so(tmp_path, shape):
    cells = {"sample_id": ["a", "b"], "question": ["one?", "two?"], "seed": ["s", ""]}
    long = {"model": "m", "utility": 1, "cost": 1}
    frame = pd.DataFrame(cells | (long if shape == "long" else {"m_correct": 1, "m_cost": 1}))
    path = write(tmp_path, frame)
    assert read(path, shape=shape).samples["group"].tolist() == ["", ""]
    named = read(path, shape=shape, columns={"group": "seed"}).samples
    assert named["group"].tolist() == ["s", ""]
    assert "tag_seed" not in named
    own = read(write(tmp_path, frame.rename(columns={"seed": "group"})), shape=shape)
    assert own.samples["group"].tolist() == ["s", ""]


@pytest.mark.parametrize("utility", [[0, 1], [0.0, 1.0], [False, True], ["no", "Yes"]])
@pytest.mark.parametrize("categorical", [False, True])
def test_utilities_of_any_type_are_numbers(tmp_path, utility, categorical):
    frame = pd.DataFrame({"sample_id": ["a", "b"], "model": "m", "utility": utility, "cost": 1})
    if categorical:
        frame["utility"] = frame["utility"].astype("category")
    table = read(write(tmp_path, frame, "mine.parquet"))
    np.testing.assert_array_equal(table.utility, [[0], [1]])


@pytest.mark.parametrize("value", [{"text": "one?"}, ["one?"], [[1]]])
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_nested_value_is_refused_in_one_line_that_names_its_column(tmp_path, suffix, value):
    path = write(tmp_path, LONG.assign(question=[value] * 3), f"mine.{suffix}")
    with pytest.raises(InputError, match=rf"mine\.{suffix}: .*column 'question' holds") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_csv_may_come_from_any_system(tmp_path, end, encoding):
    path = tmp_path / "mine.csv"
    path.write_bytes(LONG.to_csv(index=False, lineterminator=end).encode(encoding))
    table = read(str(path))
    assert table.samples["question"].tolist() == ["two?", "one?"]
    np.testing.assert_array_equal(table.utility, [[1, 0], [np.nan, 0.5]])


@pytest.mark.parametrize(
    ("suffix", "separator", "said"),
    [
        ("csv", ";", "a CSV has ',' between its columns, this file ';'; save it with ','"),
        ("csv", "\t", r"this file '\\t'"),
        ("csv", "|", r"this file '\|'"),
        ("tsv", ",", r"a TSV has '\\t' between its columns, this file ','"),
        ("tsv", ";", "this file ';'"),
    ],
)
@pytest.mark.parametrize("decimal", [".", ","])
def test_another_separator_is_named_with_what_to_do(tmp_path, suffix, separator, said, decimal):
    other = tmp_path / f"other.{suffix}"
    LONG.to_csv(other, index=False, sep=separator, decimal=decimal)
    for call in (TableSource(str(other)).local_files, lambda: read(str(other))):
        with pytest.raises(InputError, match=rf"other\.{suffix}: .*{said}"):
            call()
    with pytest.raises(InputError, match=rf"other\.{suffix}: .*{said}"):
        read(write(tmp_path), samples=str(other))


def test_a_decimal_comma_is_named(tmp_path):
    with pytest.raises(InputError, match="'cost' of 's2' holds '0,2'"):
        read(write(tmp_path, LONG.assign(cost=["0,2", "0,1", ""])))


def test_an_image_cell_that_can_be_no_path_is_no_image(tmp_path):
    frame = LONG.assign(image=["x" * 5000, "", "a" * 250 + "/b.jpg"])
    with pytest.warns(UserWarning, match=r"2 of 2 images .* such as 'x{79} of 's2'"):
        assert read(write(tmp_path, frame)).samples["image"].isna().all()


def test_equal_ids_in_a_wide_table_are_left_to_the_check_of_the_finished_table(tmp_path):
    frame = pd.DataFrame({"sample_id": ["s", "s"], "m_correct": [1, 0], "m_cost": [1, 1]})
    table = read(write(tmp_path, frame), shape="wide")
    assert table.samples["sample_id"].tolist() == ["s", "s"]


def test_two_questions_of_one_sample_are_an_error(tmp_path):
    frame = LONG.assign(question=["two?", "too?", "one?"])
    with pytest.raises(
        InputError, match=r"mine\.csv: column 'question' of sample 's2' holds both 'two\?' and 'too"
    ):
        read(write(tmp_path, frame))


def test_an_answer_that_differs_by_model_is_likely_the_models_own(tmp_path):
    path = write(tmp_path, LONG.assign(answer=["A", "B", "C"]))
    with pytest.raises(Undecided, match="'answer' differs between the rows of sample 's2'") as said:
        read(path)
    assert said.value.keys == {"columns": {"prediction": "answer"}}
    table = read(path, columns={"prediction": "answer"})
    assert table.prediction.tolist() == [["A", "B"], [None, "C"]]


def test_empty_answers_that_count_as_wrong_are_said(tmp_path):
    frame = LONG.assign(utility=[0, 0, 0], prediction=["A", "", "C"])
    told = r"%d answers that are empty, or .* count as wrong \(%s\), .* 's2'"
    with pytest.warns(UserWarning, match=told % (1, "small 1")):
        read(write(tmp_path, frame))
    failed = frame.assign(prediction=["A", "", "Failed to obtain answer via API."])
    with pytest.warns(UserWarning, match=told % (2, "small 2")):
        read(write(tmp_path, failed))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(write(tmp_path, frame.assign(utility=[0, "", 0])))


def test_a_contradiction_with_the_second_file_is_an_error(tmp_path):
    samples = pd.DataFrame({"sample_id": ["s1", "s2"], "question": ["one?", "three?"]})
    with pytest.raises(InputError, match="'s2' holds both 'two\\?' and 'three\\?'"):
        read(write(tmp_path), samples=write(tmp_path, samples, "samples.csv"))


def test_a_free_column_that_describes_outcomes_is_no_tag(tmp_path):
    path = write(tmp_path, LONG.assign(latency=[3, 4, 5], level=["a", "a", "b"]))
    with pytest.warns(UserWarning, match=r"mine\.csv: the columns latency differ"):
        samples = read(path).samples
    assert [name for name in samples if name.startswith("tag_")] == ["tag_level"]


def test_a_repeated_pair_is_an_error(tmp_path):
    frame = LONG.assign(model=["big", "big", "small"])
    with pytest.raises(InputError, match=r"mine\.csv: row 2 repeats sample 's2' with model 'big'"):
        read(write(tmp_path, frame))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sample_id": None}, "no column 'sample_id'"),
        ({"model": None}, "no column 'model'"),
        ({"utility": None}, "no column 'utility'"),
        ({"utility": ["1", "85", "0"]}, "'85'.* set source.scale to .* 100 for percent"),
        ({"utility": ["1", "85%", "0"]}, "'85%'.* set source.scale to .* 100 for percent"),
        ({"sample_id": ["s", "", "t"]}, "'sample_id' is empty in row 2"),
        ({"model": ["a", "b", ""]}, "'model' is empty in row 3"),
        ({"utility": ["1", "?", "0"]}, "'utility' of 's2' holds '\\?'"),
        ({"cost": ["1", "1", "free"]}, "'cost' of 's1' holds 'free'"),
        ({"image": ["../1.jpg", "", ""]}, r"'image' of 's2' holds '\.\./1\.jpg'"),
        ({"image": ["", "", "/etc/passwd"]}, "'image' of 's1' holds '/etc/passwd'"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path, change, said):
    frame = LONG.assign(**{name: values for name, values in change.items() if values})
    frame = frame.drop(columns=[name for name, values in change.items() if values is None])
    with pytest.raises(InputError, match=rf"mine\.csv: .*{said}"):
        read(write(tmp_path, frame))


def test_a_wide_table_without_models_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"mine\.csv: no model columns"):
        read(write(tmp_path), shape="wide")


def test_unknown_shapes_and_columns_are_named(tmp_path):
    path = write(tmp_path)
    with pytest.raises(InputError, match=r"source\.shape: 'tall'"):
        TableSource(path, shape="tall")
    with pytest.raises(InputError, match=r"source\.columns: 'utilty' is no column"):
        TableSource(path, columns={"utilty": "score"})
    with pytest.raises(InputError, match=r"source\.columns: .*no column 'score' to use as"):
        read(path, columns={"utility": "score"})


def test_local_files_are_the_tables_and_their_column_names_the_images(tmp_path):
    path = write(tmp_path)
    assert TableSource(path).local_files() == [tmp_path / "mine.csv"]
    assert list(TableSource(path).image_names()) == []
    cells = ["1.jpg", "1.jpg", "", f"{tmp_path}/2.jpg", "../3.jpg", "/4.jpg"]
    frame = pd.DataFrame({"sample_id": [f"s{row}" for row in range(6)], "image": cells})
    source = TableSource(path, samples=write(tmp_path, frame, "s.csv"))
    assert source.local_files() == [tmp_path / "mine.csv", tmp_path / "s.csv"]
    assert list(source.image_names()) == ["1.jpg", "2.jpg"]


def test_a_missing_file_is_named_and_fetching_copies_nothing(tmp_path):
    path = write(tmp_path / "here")
    assert TableSource(path).fetch(tmp_path / "fetched") == tmp_path / "here"
    assert [item.name for item in tmp_path.iterdir()] == ["here"]
    gone = str(tmp_path / "gone.csv")
    for source in (TableSource(gone), TableSource(path, samples=gone)):
        with pytest.raises(InputError, match=r"gone\.csv: no such file"):
            source.local_files()
    with pytest.raises(InputError, match=r"gone\.csv: no such file"):
        TableSource(gone).fetch(tmp_path)


def test_tags_take_linear_time():
    def seconds(n_tags):
        tags = pd.DataFrame(np.array([["x"], ["x"], ["y"]]).repeat(n_tags, axis=1), dtype="str")
        stated = pd.concat([LONG[["sample_id"]], tags.add_prefix("t")], axis=1)
        began = time.process_time()
        facts = _gather(stated, stated.iloc[:0][["sample_id"]], pd.Index(["s2", "s1"]), Path("t"))
        assert facts["t0"].tolist() == ["x", "y"]
        assert facts.shape == (2, n_tags)
        return time.process_time() - began

    # Twenty times the columns: 20 if linear, 400 if quadratic.
    assert seconds(3000) < 80 * seconds(150)


def test_the_first_row_that_states_a_fact_counts_and_the_order_of_rows_does_not(tmp_path):
    frame = LONG.assign(level=["", "hard", "easy"], note=["a", "b", "c"])
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        with pytest.warns(UserWarning, match="columns note differ"):
            table = read(write(tmp_path, frame.iloc[order]))
        told = table.samples.set_index("sample_id")["tag_level"]
        assert told["s2"] == "hard"
        assert told["s1"] == "easy"


def test_a_pipe_in_place_of_an_image_is_no_image(tmp_path):
    path = write(tmp_path, LONG.assign(image="1.png"))
    os.mkfifo(tmp_path / "1.png")
    with pytest.warns(UserWarning, match=r"images named there are no files, such as '1\.png'"):
        table = read(path)
    assert table.samples["image"].isna().all()


@pytest.mark.parametrize("name", ["mine.csv", "mine.jsonl", "mine.xlsx"])
def test_a_pipe_in_place_of_the_samples_is_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=r"mine\..*: is a pipe"):
        read(write(tmp_path / "rows"), samples=str(tmp_path / name))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_lists_and_objects_that_nobody_reads_are_left_out_and_said(tmp_path, suffix):
    frame = LONG.assign(usage=[{"tokens": 1}] * 3, images=[["a.png", "b.png"]] * 3, level="1")
    path = write(tmp_path, frame, f"mine.{suffix}")
    with pytest.warns(UserWarning, match="lists or objects are left out: usage, images$"):
        table = read(path)
    assert [name for name in table.samples if name.startswith("tag_")] == ["tag_level"]
    with pytest.raises(InputError, match="column 'usage' holds lists or objects"):
        read(path, columns={"answer": "usage"})


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_an_encoding_that_a_file_is_marked_with_is_read(tmp_path, suffix, encoding):
    path = Path(write(tmp_path, LONG.assign(question="Größe 大小"), f"mine.{suffix}"))
    path.write_text(path.read_text("utf-8"), encoding)
    assert read(str(path)).samples["question"].tolist() == ["Größe 大小"] * 2


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_another_encoding_is_named_and_read_by_a_key(tmp_path, suffix):
    path = tmp_path / f"mine.{suffix}"
    write(tmp_path, LONG.assign(question="ok"), path.name)
    path.write_bytes(path.read_bytes().replace(b"ok", "Größe “5”".encode("cp1252")))
    with pytest.raises(InputError, match=r"byte 0xf6 in line \d is no UTF-8, and may be cp1252"):
        read(str(path))
    assert read(str(path), encoding="cp1252").samples["question"][0] == "Größe “5”"
    path.write_bytes(path.read_bytes().replace(b"\xf6", b"\x81"))
    with pytest.raises(InputError, match=r"byte 0x81 .* set source.encoding to 'latin-1'"):
        read(str(path))


@pytest.mark.parametrize("encoding", ["utf8000", "base64", "a\0b"])
def test_an_unknown_encoding_is_refused(tmp_path, encoding):
    with pytest.raises(InputError, match=r"source\.encoding: .* is no encoding of text"):
        TableSource(write(tmp_path), encoding=encoding)


def test_a_table_without_outcomes_describes_samples(tmp_path):
    path = write(tmp_path, LONG[["sample_id", "question"]].assign(level="3"))
    table = read(path)
    assert table.model_names == []
    assert table.utility.shape == (2, 0)
    assert table.samples["question"].tolist() == ["two?", "one?"]


def test_a_packed_table_is_checked_and_read_as_what_it_holds(tmp_path):
    path = tmp_path / "mine.csv.gz"
    LONG.to_csv(path, index=False)
    source = TableSource(str(path))
    assert source.local_files() == [path]
    assert read(str(path)).utility[0].tolist() == [1, 0]
    LONG.to_csv(path, index=False, sep=";")
    with pytest.raises(InputError, match=r"mine\.csv\.gz: a CSV has ',' .* this file ';'"):
        source.local_files()
    path.write_bytes(b"sample_id,model")
    with pytest.raises(InputError, match=r"mine\.csv\.gz: not readable as CSV \(Not a gzipped"):
        source.local_files()


@pytest.mark.parametrize("text", [["100", "85", "0.5"], ["100%", "85 %", "0.5%"]])
def test_percent_is_read_with_its_scale(tmp_path, text):
    path = write(tmp_path, LONG.assign(utility=text))
    np.testing.assert_allclose(read(path, scale=100).utility, [[1, 0.85], [np.nan, 0.005]])
    wide = pd.DataFrame({"sample_id": ["a", "b", "c"], "m_correct": text, "m_cost": 1})
    table = read(write(tmp_path, wide, "wide.csv"), shape="wide", scale=100)
    np.testing.assert_allclose(table.utility[:, 0], [1, 0.85, 0.005])


def test_words_are_right_on_any_scale_and_numbers_within_it(tmp_path):
    path = write(tmp_path, LONG.assign(utility=["Yes", "5", "no"]))
    assert read(path, scale=10).utility[0].tolist() == [1, 0.5]
    with pytest.raises(InputError, match=r"'5', .* from 0 to 4; .*, or source\.scale"):
        read(path, scale=4)
    with pytest.warns(UserWarning, match=r"'utility' is above 1, though source\.scale is 100"):
        assert read(write(tmp_path), scale=100).utility[0].tolist() == [0.01, 0]


def test_tokens_are_estimated_from_answers_where_there_is_neither_cost_nor_count(tmp_path):
    frame = LONG.drop(columns="cost").assign(utility=1, response=["a" * 9, "", "é" * 4])
    with pytest.warns(UserWarning, match="counts of big, small; tokens are estimated") as said:
        table = read(write(tmp_path, frame))
    assert len(said) == 1
    np.testing.assert_array_equal(table.prompt_tokens, [[1, 1], [np.nan, 1]])
    np.testing.assert_array_equal(table.completion_tokens, [[3, np.nan], [np.nan, 2]])
    assert np.isnan(table.cost).all()


def test_a_wide_model_with_answers_alone_is_estimated_beside_one_with_costs(tmp_path):
    frame = pd.DataFrame(
        {
            "sample_id": ["a", "b"],
            "question": ["q" * 8, ""],
            "m_correct": [1, ""],
            "m_prediction": ["yes", "no"],
            "n_correct": [1, 0],
            "n_cost": [0.5, 0.5],
            "n_prediction": ["yes", "no"],
        }
    )
    with pytest.warns(UserWarning, match="token counts of m; tokens are estimated"):
        table = read(write(tmp_path, frame), shape="wide")
    np.testing.assert_array_equal(table.prompt_tokens, [[2, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(table.completion_tokens[0], [1, np.nan])
    assert table.cost[:, 1].tolist() == [0.5, 0.5]


def test_without_costs_counts_and_answers_a_price_per_call_is_left(tmp_path):
    path = write(tmp_path, LONG.drop(columns="cost").assign(prompt_tokens=[1, 2, 3]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = read(path)
    assert np.isnan(table.cost).all()
    np.testing.assert_array_equal(table.prompt_tokens, [[1, 2], [np.nan, 3]])
    said = "no outcome with a known cost; give costs, or a price table .* usd_per_call"
    with pytest.raises(InputError, match=said):
        mask_unpriced(table, "mine")
    prices = pd.DataFrame({"model": ["big", "small"], "usd_per_call": ["0.5", "0.25"]})
    priced = mask_unpriced(reprice(table, prices, "prices.csv"), "mine")
    np.testing.assert_array_equal(priced.cost, [[0.5, 0.25], [np.nan, 0.25]])


def test_a_wide_model_of_verdicts_alone_is_priced_by_the_call(tmp_path):
    frame = pd.DataFrame(
        {
            "sample_id": ["a", "b"],
            "m_correct": [1, ""],
            "n_correct": [1, 0],
            "n_cost": [0.5, 0.25],
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = read(write(tmp_path, frame), shape="wide")
    assert table.model_names == ["m", "n"]
    said = "model 'm' has no outcome with a known cost; .* usd_per_call, or name the other models"
    with pytest.raises(InputError, match=said):
        mask_unpriced(table, "mine")
    prices = pd.DataFrame({"model": ["m"], "usd_per_call": ["0.125"]})
    priced = mask_unpriced(reprice(table, prices, "prices.csv"), "mine")
    np.testing.assert_array_equal(priced.cost, [[0.125, 0.5], [np.nan, 0.25]])


def png(colour):
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


def in_base64(content):
    return base64.b64encode(content).decode()


def test_images_in_base64_become_files_below_the_results_beside_those_that_are_named(tmp_path):
    folder = tmp_path / "mine"
    red, blue = png("red"), png("blue")
    frame = pd.DataFrame(
        {
            "sample_id": ["a", "a", "b", "c", "d"],
            "model": ["m", "n", "m", "m", "m"],
            "utility": 1,
            "cost": 1,
            "image": [
                in_base64(red),
                in_base64(red),
                f"data:image/png;base64,{in_base64(blue)}",
                "pics/1.jpg",
                "",
            ],
        }
    )
    source = TableSource(write(folder, frame))
    (folder / "pics").mkdir()
    (folder / "pics/1.jpg").write_bytes(b"pixels")
    root = source.fetch(tmp_path / "results")
    assert root == tmp_path / "results"
    samples = source.read(root).samples
    images = samples["image"].tolist()
    assert [(root / image).read_bytes() for image in images[:3]] == [red, blue, b"pixels"]
    assert images[2] == "beside/pics/1.jpg"
    assert samples["image_digest"].tolist()[:3] == [
        digest_bytes(content) for content in (red, blue, b"pixels")
    ]
    assert samples[["image", "image_digest"]].iloc[3].isna().all()
    assert list(source.image_names()) == ["pics/1.jpg"]
    assert len(list((root / "images").iterdir())) == 2


def test_what_pretends_to_be_an_image_in_base64_is_none(tmp_path):
    whole = in_base64(png("red"))
    cells = [
        whole[:-5],
        f"data:image/png;base64,{whole[:-5]}",
        in_base64(b"MZ" + b"program" * 20),
        "data:image/svg+xml;base64," + in_base64(b"<svg><script>alert(1)</script></svg>" * 3),
        "Qk" + "a" * 70 + "/b.jpg",
        whole,
    ]
    frame = pd.DataFrame({"sample_id": list("abcdef"), "image": cells})
    source = TableSource(write(tmp_path, LONG, "mine.csv"), samples=write(tmp_path, frame, "s.csv"))
    frame = LONG.assign(sample_id=["a", "b", "c"])
    rest = LONG.assign(sample_id=["d", "e", "f"])
    write(tmp_path, pd.concat([frame, rest]), "mine.csv")
    root = source.fetch(tmp_path / "results")
    with pytest.warns(UserWarning, match="'image': 5 of 6 images named there are no files"):
        samples = source.read(root).samples
    assert samples["image"].notna().tolist() == [False] * 5 + [True]
    assert len(list((root / "images").iterdir())) == 1
    assert {path.suffix for path in root.rglob("*") if path.is_file()} >= {".png"}


@FORMATS
def test_a_list_of_images_is_several(tmp_path, suffix):
    for name in "12":
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    cells = [["2.jpg", "./1.jpg"], ["2.jpg", "./1.jpg"], ["1.jpg"]]
    path = write(tmp_path, LONG.assign(image=cells), f"mine.{suffix}")
    samples = read(path).samples
    assert samples["image"].tolist() == ["2.jpg//1.jpg", "1.jpg"]
    one, two = digest_bytes(b"1"), digest_bytes(b"2")
    assert samples["image_digest"].tolist() == [f"{two}//{one}", one]
    assert set(TableSource(path).image_names()) == {"1.jpg", "2.jpg"}


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_records_may_name_one_image_or_several_or_none(tmp_path, suffix):
    (tmp_path / "1.jpg").write_bytes(b"1")
    records = [
        {"sample_id": name, "model": "m", "utility": 1, "cost": 1, "image": image}
        for name, image in (("a", "1.jpg"), ("b", ["1.jpg", "no.jpg"]), ("c", None), ("d", []))
    ]
    path = tmp_path / f"mine.{suffix}"
    path.write_text(
        "\n".join(map(json.dumps, records)) if suffix == "jsonl" else json.dumps(records)
    )
    with pytest.warns(UserWarning, match=r"1 of 3 images .* such as 'no\.jpg' of 'b'; .* or fewer"):
        samples = read(str(path)).samples
    assert samples["image"].fillna("").tolist() == ["1.jpg", "1.jpg", "", ""]
    assert samples["image_digest"][1] == f"{digest_bytes(b'1')}//unknown no.jpg"


@pytest.mark.parametrize("cell", [[1, 2], [["a.png"]], [{"a": 1}]])
def test_a_list_of_what_is_no_text_is_no_image(tmp_path, cell):
    record = {"sample_id": "a", "model": "m", "utility": 1, "cost": 1, "image": cell}
    (tmp_path / "mine.jsonl").write_text(json.dumps(record))
    with pytest.raises(InputError, match="column 'image' holds lists or objects"):
        read(str(tmp_path / "mine.jsonl"))


def test_a_list_may_hold_images_in_base64_beside_paths(tmp_path):
    red, blue = png("red"), png("blue")
    (tmp_path / "1.jpg").write_bytes(b"pixels")
    several = [in_base64(red), "1.jpg", f"data:image/png;base64,{in_base64(blue)}"]
    source = TableSource(write(tmp_path, LONG.assign(image=[several] * 3), "mine.jsonl"))
    root = source.fetch(tmp_path / "results")
    samples = source.read(root).samples
    images = samples["image"][0].split("//")
    assert [(root / image).read_bytes() for image in images] == [red, b"pixels", blue]
    assert images[1] == "beside/1.jpg"
    assert samples["image_digest"][0] == "//".join(map(digest_bytes, (red, b"pixels", blue)))
    assert list(source.image_names()) == ["1.jpg"]


def test_latencies_of_a_long_table_are_outcomes(tmp_path):
    table = read(write(tmp_path, LONG.assign(latency_s=[1.5, 0, np.nan])))
    np.testing.assert_array_equal(table.latency_s, [[1.5, 0], [np.nan, np.nan]])
    assert read(write(tmp_path)).latency_s is None
    mine = LONG.assign(seconds=[1.5, 0, 3])
    named = read(write(tmp_path, mine), columns={"latency_s": "seconds"})
    np.testing.assert_array_equal(named.latency_s, [[1.5, 0], [np.nan, 3]])
    assert not [name for name in named.samples if name.startswith("tag_")]


def test_latencies_of_a_wide_table_are_outcomes(tmp_path):
    frame = pd.DataFrame(
        {
            "sample_id": ["s1", "s2"],
            "m_correct": [1, 0],
            "m_cost": [1, 1],
            "m_latency_s": [0.5, None],
        }
    )
    table = read(write(tmp_path, frame), shape="wide")
    np.testing.assert_array_equal(table.latency_s, [[0.5], [np.nan]])
    assert not [name for name in table.samples if name.startswith("tag_")]


@pytest.mark.parametrize("cell", ["-0.5", "fast", "inf", "1e999"])
def test_what_is_no_latency_is_an_error_that_names_it(tmp_path, cell):
    frame = LONG.astype(object).assign(latency_s=["1", cell, ""])
    with pytest.raises(InputError, match=rf"mine\.csv: column 'latency_s' of 's2' holds '{cell}'"):
        read(write(tmp_path, frame))
