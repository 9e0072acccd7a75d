import base64
import io
import json
import pickle
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmroute.errors import InputError
from mmroute.outcomes.groups import group_keys
from mmroute.sources.calls import UNSCALED
from mmroute.sources.token_counts import estimate
from mmroute.sources.vlmevalkit import Vlmevalkit

MCQ = "MMStar_openai_result.xlsx"
WRITERS = {
    ".xlsx": lambda frame, path: frame.to_excel(path, index=False),
    ".tsv": lambda frame, path: frame.to_csv(path, sep="\t", index=False),
    ".json": lambda frame, path: frame.to_json(path, orient="records"),
    ".pkl": lambda frame, path: frame.to_pickle(path),
}


def put(root, model, rest, rows, run=""):
    """Write one file of a model; rows are dicts."""
    path = root / model / run / f"{model}_{rest}"
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[path.suffix](pd.DataFrame(rows), path)
    return path


def hits(*marks, **more):
    return [
        {"index": i, "question": f"why {i}?", "answer": "A", "prediction": "A", "hit": mark} | more
        for i, mark in enumerate(marks)
    ]


def read(root, **parameters):
    """Read a work directory; return the table and its warnings."""
    source = Vlmevalkit(path=str(root), **parameters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = source.read(source.fetch(root.parent / "fetched"))
    return table, [str(warning.message) for warning in caught]


def outcomes(table):
    """Return {sample id: utilities}."""
    return dict(zip(table.samples["sample_id"], table.utility.tolist(), strict=True))


def test_judged_and_raw_files_of_two_models_become_one_table(tmp_path):
    root = tmp_path / "work"
    rows = [
        {
            "index": 7,
            "question": "Which one?",
            "A": "red",
            "B": 2,
            "C": None,
            "answer": "B",
            "category": "colour",
            "prediction": "shortened",
            "hit": 1,
        },
        {
            "index": 9,
            "question": "How?",
            "A": None,
            "B": None,
            "C": None,
            "answer": "NA",
            "category": "",
            "prediction": "",
            "hit": 0,
        },
    ]
    for model, order in (("m", [0, 1]), ("n_2", [1, 0])):
        put(root, model, MCQ, [rows[i] for i in order], "T20250101_Gabc")
        raw = [{**rows[i], "prediction": f"{model} says {rows[i]['answer']}"} for i in order]
        put(root, model, "MMStar.xlsx", raw, "T20250101_Gabc")
    (root / "m/T20250101_Gabc/m_MMStar_acc.csv").write_text("split,Overall\nnone,0.5\n")
    (root / "m/T20250101_Gabc/m_MMStar_score.json").write_text("{}")
    table, told = read(root)
    samples = table.samples
    assert samples["sample_id"].tolist() == ["MMStar_7", "MMStar_9"]
    assert samples["dataset"].tolist() == samples["scenario"].tolist() == ["MMStar"] * 2
    assert samples["question"].tolist() == ["Which one?\nA. red\nB. 2", "How?"]
    assert samples["answer"].tolist() == ["B", "NA"]
    assert samples["tag_category"].tolist() == ["colour", ""]
    assert samples["image"].isna().all()
    assert table.model_names == ["m", "n_2"]
    np.testing.assert_array_equal(table.utility, [[1, 1], [0, 0]])
    assert table.prediction.tolist() == [["m says B", "n_2 says B"], ["m says NA", "n_2 says NA"]]
    np.testing.assert_array_equal(table.prompt_tokens[:, 0], estimate(samples["question"]))
    np.testing.assert_array_equal(
        table.completion_tokens[:, 1], estimate(pd.Series(["n_2 says B", "n_2 says NA"]))
    )
    assert np.isnan(table.cost).all()
    assert len(told) == 1
    assert "estimated" in told[0]


def test_a_model_may_miss_samples_and_data_sets(tmp_path):
    root = tmp_path / "work"
    put(root, "m", MCQ, hits(1, 0))
    put(root, "n", MCQ, [hits(0, 0, 1)[i] for i in (2, 0)])
    put(root, "n", "AI2D_openai_result.xlsx", hits(1))
    table, _ = read(root)
    assert table.model_names == ["m", "n"]
    expected = {
        "AI2D_0": [np.nan, 1],
        "MMStar_0": [1, 0],
        "MMStar_1": [0, np.nan],
        "MMStar_2": [np.nan, 1],
    }
    assert list(outcomes(table)) == list(expected)
    for sample, utilities in outcomes(table).items():
        np.testing.assert_array_equal(utilities, expected[sample])
    np.testing.assert_array_equal(np.isnan(table.prompt_tokens), np.isnan(table.utility))


@pytest.mark.parametrize(
    ("rest", "mark", "utility"),
    [
        ("MMStar_openai_result.xlsx", {"hit": 1}, 1),
        ("MMStar_exact_matching_result.xlsx", {"hit": 0}, 0),
        ("MMStar_gpt-4o-mini_result.pkl", {"hit": 1}, 1),
        ("MMStar_some-judge_result.xlsx", {"hit": 1}, 1),
        ("MMStar_auxmatch.xlsx", {"score": True}, 1),
        ("MMStar_auxmatch.pkl", {"score": False}, 0),
        ("MMStar_gpt-4o-mini.xlsx", {"is_correct": "yes"}, 1),
        ("MMStar_gpt-4-turbo_score.xlsx", {"score": 0.25}, 0.25),
        ("MMStar_chatgpt-0125_extract.xlsx", {"score": 1}, 1),
        ("MMStar_results.xlsx", {"score": 0.5, "hit": 1}, 0.5),
        ("MMStar_results.tsv", {"is_correct": 1, "score": 0, "hit": 0}, 1),
        ("MMStar.xlsx", {"score": 1}, 1),
        ("MMStar.json", {"hit": 1}, 1),
    ],
)
def test_every_kind_of_judged_file_is_known_by_its_suffix(tmp_path, rest, mark, utility):
    put(tmp_path / "work", "m_x", rest, [{"index": 1, "question": "q", "prediction": "p", **mark}])
    table, _ = read(tmp_path / "work")
    assert outcomes(table) == {"MMStar_1": [utility]}


@pytest.mark.parametrize(
    ("files", "wins"),
    [
        (["gpt-4o", "gpt-4o_score", "gpt-4o_extract"], "gpt-4o_score"),
        (["gpt-4o", "gpt-4o_extract"], "gpt-4o"),
        (["exact_matching_result", "openai_result"], "openai_result"),
        (["exact_matching_result", "qwen-72b_result"], "qwen-72b_result"),
        (["gpt-4o_result", "chatgpt-0125_result", "openai_result"], "openai_result"),
        (["gpt-4o_result", "chatgpt-0125_result"], "chatgpt-0125_result"),
    ],
)
def test_of_several_judged_files_one_is_always_the_first(tmp_path, files, wins):
    for name in files:
        put(tmp_path / "work", "m", f"X_{name}.xlsx", hits(int(name == wins), 1 - (name == wins)))
    assert outcomes(read(tmp_path / "work")[0]) == {"X_0": [1], "X_1": [0]}


def test_a_judged_file_without_marks_gives_way_to_one_with(tmp_path):
    unmarked = [{"index": 0, "question": "q", "res": "4", "log": "ok"}]
    put(tmp_path / "work", "m", "X_gpt-4o_score.xlsx", unmarked)
    put(tmp_path / "work", "m", "X_gpt-4o.xlsx", hits(1))
    put(tmp_path / "work", "m", "MathVista_gpt-4o.xlsx", unmarked)
    put(tmp_path / "work", "m", "OCRBench.xlsx", unmarked)
    table, told = read(tmp_path / "work")
    assert outcomes(table) == {"X_0": [1]}
    for dataset in ("MathVista", "OCRBench"):
        assert any(f"no file of {dataset} says" in notice for notice in told)


ASKED = [{"index": 0, "question": "q", "answer": "B", "answer_option": "B"}]


def test_data_sets_that_the_config_names_and_nobody_judged_are_refused(tmp_path):
    put(tmp_path / "work", "m", "X_gpt-4o.xlsx", hits(1))
    put(tmp_path / "work", "m", "MathVista_MINI_gpt-4o.xlsx", ASKED)
    put(tmp_path / "work", "m", "OCRBench.xlsx", ASKED)
    datasets = {"X": "X", "MathVista": "MathVista_MINI", "OCR": "OCRBench"}
    with pytest.raises(InputError, match=r"source\.datasets: MathVista, OCR: of 2 files none says"):
        read(tmp_path / "work", datasets=datasets)


def test_data_sets_with_a_rule_are_judged_by_it(tmp_path):
    choice = {"question_type": "multi_choice", "choices": "['x', 'y']", "prediction": "b"}
    put(tmp_path, "m", "MathVista_MINI_gpt-4o.xlsx", [ASKED[0] | choice | {"res": "B"}])
    words = {"answer": "['Cat']", "category": "Regular Text Recognition"}
    put(tmp_path, "m", "OCRBench.xlsx", [ASKED[0] | words | {"prediction": "a cat"}])
    put(tmp_path, "m", "MathVision_gpt-4o.xlsx", [ASKED[0] | choice | {"res": "A"}])
    table, told = read(
        tmp_path, datasets={"V": "MathVista_MINI", "O": "OCRBench", "M": "MathVision"}
    )
    assert outcomes(table) == {"M_0": [0], "O_0": [1], "V_0": [1]}
    assert not any("says" in notice for notice in told)


@pytest.mark.parametrize("ending", ["judge", "detailed_results"])
def test_judgements_of_short_answers_and_of_the_verifier_are_no_data_sets(tmp_path, ending):
    column = "hit" if ending == "judge" else "verifier_score"
    rows = [{"index": 0, "question": "q", "answer": "B", "prediction": "B", column: True}]
    put(tmp_path, "m", f"EMMA_{ending}.xlsx", rows)
    assert outcomes(read(tmp_path)[0]) == {"EMMA_0": [1]}


@pytest.mark.parametrize(("failures", "utility"), [("missing", np.nan), ("wrong", 0)])
def test_failed_calls_and_empty_answers_are_counted_by_model(tmp_path, failures, utility):
    failed = "Failed to obtain answer via API. "
    for model, answers in (("m", ["A", failed, "", failed]), ("n", ["A", "B", "B", "A"])):
        rows = [
            row | {"prediction": said} for row, said in zip(hits(1, 0, 0, 0), answers, strict=True)
        ]
        put(tmp_path, model, MCQ, rows)
        put(tmp_path, model, "MMStar.xlsx", rows)
    table, told = read(tmp_path, failures=failures)
    np.testing.assert_array_equal(table.utility[:, 0], [1, utility, utility, utility])
    np.testing.assert_array_equal(table.utility[:, 1], [1, 0, 0, 0])
    meant = "are missing; source.failures" if failures == "missing" else "are counted as wrong"
    about = [notice.split(": ", 1)[1] for notice in told if "answers of" in notice]
    assert [notice.split(", and ")[0] for notice in about] == [
        "answers of m are 'Failed to obtain answer'",
        "answers of m are empty",
    ]
    assert all(meant in notice for notice in about)
    assert [int(notice.split(", for")[0].rsplit(": ", 1)[1]) for notice in about] == [2, 1]


def test_vqa_matches_are_scored_as_their_data_set_does(tmp_path):
    matches = {
        "TextVQA_VAL": ("[1.0, 0.6]", 0.8),
        "ChartQA_TEST": ("[False, True]", 1),
        "DocVQA_VAL": ("[0.25, 0.9]", 0.75),
        "InfoVQA_VAL": ("[0.6]", 0),
        "GQA": ("[np.float64(1.0), np.False_]", 0.5),
    }
    for dataset, (text, _) in matches.items():
        row = {"index": 0, "question": "q", "prediction": "p", "eval_match": text}
        put(tmp_path / "work", "DocVQA-tuned", f"{dataset}_results.xlsx", [row])
    table, _ = read(tmp_path / "work")
    assert outcomes(table) == {
        f"{dataset}_0": [pytest.approx(score)] for dataset, (_, score) in sorted(matches.items())
    }


@pytest.mark.parametrize("text", ["[]", "[two]", "1; 2", "[7]"])
def test_matches_that_are_no_list_of_shares_are_refused(tmp_path, text):
    row = {"index": 5, "question": "q", "eval_match": text}
    path = put(tmp_path / "work", "m", "X_results.xlsx", [row])
    with pytest.raises(InputError, match="eval_match") as caught:
        read(tmp_path / "work")
    assert str(path) in str(caught.value)


def test_the_newest_complete_run_of_each_data_set_is_read(tmp_path):
    root = tmp_path / "work"
    put(root, "m", MCQ, hits(0, 0), "T20250101_G1")
    put(root, "m", MCQ, hits(1, 1), "T20250301_G1")
    put(root, "m", MCQ, hits(0), "T20250401_G1")
    put(root, "m", "AI2D_openai_result.xlsx", hits(1), "T20250101_G1")
    table, told = read(root)
    assert outcomes(table) == {"AI2D_0": [1], "MMStar_0": [1], "MMStar_1": [1]}
    assert sum("newest complete one: 1, for instance" in notice for notice in told) == 1


def test_the_raw_output_is_of_the_judged_files_run(tmp_path):
    root = tmp_path / "work"
    put(root, "m", MCQ, hits(1, prediction="judged"), "T20250101_G1")
    for said, run in (("raw of old", "T20250101_G1"), ("raw of new", "T20250301_G1")):
        put(root, "m", "MMStar.xlsx", [{"index": 0, "question": "q", "prediction": said}], run)
    assert read(root)[0].prediction.tolist() == [["raw of old"]]


def test_undated_files_are_the_oldest_run_and_links_are_none(tmp_path):
    root = tmp_path / "work"
    dated = put(root, "m", MCQ, hits(1), "T20250101_G1")
    (root / "m" / dated.name).symlink_to(dated)
    table, told = read(root)
    assert outcomes(table) == {"MMStar_0": [1]}
    assert not any("several runs" in notice for notice in told)
    (root / "m" / dated.name).unlink()
    put(root, "m", MCQ, hits(0))
    table, told = read(root)
    assert outcomes(table) == {"MMStar_0": [1]}
    assert any("several runs" in notice for notice in told)
    put(root, "m", MCQ, hits(0, 0))
    assert outcomes(read(root)[0]) == {"MMStar_0": [0], "MMStar_1": [0]}


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_raw_output_is_read_in_every_format(tmp_path, suffix):
    answers = ["NA", "a 'b'\n\"c\"", ""]
    raw = [row | {"prediction": said} for row, said in zip(hits(1, 1, 1), answers, strict=True)]
    put(tmp_path / "work", "m", MCQ, hits(1, 1, 1))
    put(tmp_path / "work", "m", f"MMStar{suffix}", raw[::-1])
    table, told = read(tmp_path / "work")
    assert table.prediction.tolist() == [["NA"], ["a 'b'\n\"c\""], [None]]
    np.testing.assert_array_equal(table.completion_tokens, [[1], [3], [0]])
    assert len(told) == 2


@pytest.mark.parametrize("orient", ["columns", "list", "index"])
def test_json_may_hold_columns(tmp_path, orient):
    frame = pd.DataFrame(hits(1, 0))
    path = tmp_path / "work/m/m_X_results.json"
    path.parent.mkdir(parents=True)
    if orient == "index":
        content = {row.pop("index"): row for row in hits(1, 0)}
    else:
        content = json.loads(frame.to_json()) if orient == "columns" else frame.to_dict("list")
    path.write_text(json.dumps(content))
    assert outcomes(read(tmp_path / "work")[0]) == {"X_0": [1], "X_1": [0]}


def test_a_cache_of_judgements_takes_its_questions_from_the_raw_output(tmp_path):
    path = put(tmp_path / "work", "m", "X_openai_result.pkl", hits(1))
    path.write_bytes(pickle.dumps({0: {"hit": 1, "log": "ok"}, 1: {"hit": 0, "log": "ok"}}))
    put(tmp_path / "work", "m", "X.xlsx", [row | {"id": f"s{row['index']}"} for row in hits(1, 0)])
    table, _ = read(tmp_path / "work")
    assert outcomes(table) == {"X_s0": [1], "X_s1": [0]}
    assert table.samples["question"].tolist() == ["why 0?", "why 1?"]
    assert table.prediction.tolist() == [["A"], ["A"]]


def test_without_a_raw_output_the_judged_answers_count(tmp_path):
    put(tmp_path / "work", "m", MCQ, hits(1, prediction="eight ch"))
    table, told = read(tmp_path / "work")
    np.testing.assert_array_equal(table.completion_tokens, [[2]])
    assert any("no raw output" in notice and MCQ in notice for notice in told)


def test_without_any_answer_its_tokens_are_unknown(tmp_path):
    put(tmp_path / "work", "m", MCQ, [{"index": 1, "question": "q", "hit": 1}])
    table, _ = read(tmp_path / "work")
    assert np.isnan(table.completion_tokens).all()
    assert table.prediction.tolist() == [[None]]


def test_an_id_of_several_questions_names_none_of_them(tmp_path):
    root = tmp_path / "work"
    rows = [*hits(1, 0, 1), hits(0, question="other")[0]]
    put(root, "m", MCQ, rows)
    put(root, "m", "MMStar.xlsx", rows)
    table, told = read(root)
    assert outcomes(table) == {"MMStar_1": [0], "MMStar_2": [1]}
    assert any("files name several questions by one id" in one for one in told)
    assert any("2 rows of " in one and "such as 0" in one for one in told)


def test_the_id_is_the_first_column_that_all_models_have(tmp_path):
    named = [row | {"id": f"s{row['index']}"} for row in hits(1, 0)]
    put(tmp_path / "a", "m", MCQ, named)
    put(tmp_path / "a", "n", MCQ, named)
    assert list(outcomes(read(tmp_path / "a")[0])) == ["MMStar_s0", "MMStar_s1"]
    put(tmp_path / "a", "n", MCQ, hits(1, 0))
    assert outcomes(read(tmp_path / "a")[0]) == {"MMStar_0": [1, 1], "MMStar_1": [0, 0]}


def test_two_questions_for_one_sample_are_counted_and_the_first_is_kept(tmp_path):
    put(tmp_path / "work", "m", MCQ, hits(1, 0))
    put(tmp_path / "work", "n", MCQ, hits(1, 0, question="other"))
    table, told = read(tmp_path / "work")
    assert table.samples["question"].tolist() == ["why 0?", "why 1?"]
    assert any("the first model's are kept: 2, for instance MMStar '0'" in text for text in told)


def test_a_column_that_differs_between_models_is_no_tag(tmp_path):
    put(tmp_path / "work", "m", MCQ, hits(1, category="a", split="val"))
    put(tmp_path / "work", "n", MCQ, hits(1, category="b", split="val"))
    table, told = read(tmp_path / "work")
    assert [name for name in table.samples if name.startswith("tag_")] == ["tag_split"]
    assert any("'category' of MMStar" in notice for notice in told)


def test_models_judged_by_different_judges_are_named(tmp_path):
    put(tmp_path / "work", "m", MCQ, hits(1))
    put(tmp_path / "work", "n", "MMStar_exact_matching_result.xlsx", hits(1))
    _, told = read(tmp_path / "work")
    assert any("MMStar: exact_matching, openai" in notice for notice in told)


def test_a_models_name_may_start_with_another(tmp_path):
    for model, mark in (("GPT4o", 1), ("GPT4o_MINI", 0)):
        put(tmp_path / "work", model, MCQ, hits(mark))
        put(tmp_path / "work", model, "MMMU_DEV_openai_result.xlsx", hits(mark))
        put(tmp_path / "work", model, "MMMU_DEV_VAL_openai_result.xlsx", hits(mark, mark))
    table, _ = read(tmp_path / "work")
    assert table.model_names == ["GPT4o", "GPT4o_MINI"]
    assert set(table.samples["dataset"]) == {"MMMU_DEV", "MMMU_DEV_VAL", "MMStar"}
    np.testing.assert_array_equal(table.utility, [[1, 0]] * 4)


def test_datasets_are_selected_and_renamed(tmp_path):
    put(tmp_path / "work", "m", "MathVista_MINI_gpt-4o.xlsx", hits(1))
    put(tmp_path / "work", "m", "LLaVABench_openai_result.xlsx", hits(8))
    table, _ = read(tmp_path / "work", datasets={"MathVista": "MathVista_MINI"})
    assert outcomes(table) == {"MathVista_0": [1]}
    assert set(table.samples["dataset"]) == {"MathVista"}
    with pytest.raises(InputError, match=r"no data set 'gone'.*LLaVABench, MathVista_MINI"):
        read(tmp_path / "work", datasets={"a": "gone"})
    with pytest.raises(InputError, match=r"source\.datasets: 'x' stands twice"):
        Vlmevalkit(path=".", datasets={"a": "x", "b": "x"})


def picture(colour):
    content = io.BytesIO()
    Image.new("RGB", (9, 7), colour).save(content, "PNG")
    return content.getvalue()


def image_table(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    columns["image"] = [
        base64.b64encode(picture(cell)).decode() if cell in ("red", "blue") else cell
        for cell in columns["image"]
    ]
    pd.DataFrame(columns).to_csv(path, sep="\t", index=False)


def test_samples_whose_images_nobody_has_are_no_variants_of_each_other(tmp_path):
    put(tmp_path, "m", MCQ, [row | {"question": "What is shown?"} for row in hits(1, 0, 1)])
    table, _ = read(tmp_path)
    assert table.samples["image"].isna().all()
    assert group_keys(table.samples).nunique() == 3


@pytest.mark.parametrize("place", ["work/LMUData", "work", "elsewhere"])
def test_images_come_from_tables(tmp_path, place):
    put(tmp_path / "work", "m", MCQ, hits(1, 1, 1))
    table = {"index": [0, 1], "image": ["red", "0"]}
    image_table(tmp_path / place / "MMStar.tsv", table)
    images = {"images": str(tmp_path / place)} if place == "elsewhere" else {}
    table, told = read(tmp_path / "work", datasets={"Star": "MMStar"}, **images)
    assert table.samples["image"].tolist()[:2] == ["images/Star/0.png"] * 2
    assert table.samples["image"].isna().tolist() == [False, False, True]
    assert (tmp_path / "fetched/images/Star/0.png").read_bytes() == picture("red")
    first, second, unlisted = table.samples["image_digest"]
    assert (first, unlisted) == (second, "unknown Star_2")
    assert any(
        "not in their data set's image table" in notice and ": 1," in notice for notice in told
    )


def test_images_are_found_by_index_though_the_sample_is_named_by_id(tmp_path):
    """In MMMU the ids of samples are not the indices of the image table."""
    named = [row | {"id": str(1 - row["index"])} for row in hits(1, 0)]
    table = {"index": [0, 1], "id": ["1", "0"], "image": ["red", "blue"]}
    image_table(tmp_path / "work/LMUData/MMStar.tsv", table)
    put(tmp_path / "work", "m", MCQ, named)
    samples = read(tmp_path / "work")[0].samples.set_index("sample_id")["image"]
    assert samples.to_dict() == {
        "MMStar_1": "images/MMStar/0.png",
        "MMStar_0": "images/MMStar/1.png",
    }
    put(
        tmp_path / "work",
        "m",
        MCQ,
        [{k: v for k, v in row.items() if k != "index"} for row in named],
    )
    assert read(tmp_path / "work")[0].samples.set_index("sample_id")["image"].equals(samples)


def test_without_image_tables_the_work_directory_is_the_root(tmp_path):
    put(tmp_path / "work", "m", MCQ, hits(1))
    source = Vlmevalkit(path=str(tmp_path / "work"))
    assert source.fetch(tmp_path / "fetched") == tmp_path / "work"
    assert not (tmp_path / "fetched").exists()


def test_local_files_are_what_is_read(tmp_path):
    judged = put(tmp_path / "work", "m", MCQ, hits(1))
    (tmp_path / "work/m/m_MMStar_acc.csv").write_text("a\n1\n")
    image_table(tmp_path / "work/LMUData/MMStar.tsv", {"index": [0], "image": ["red"]})
    image_table(tmp_path / "work/LMUData/Other.tsv", {"index": [0], "image": ["red"]})
    files = Vlmevalkit(path=str(tmp_path / "work")).local_files()
    assert files == [judged, tmp_path / "work/LMUData/MMStar.tsv"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (hits(85, 12), "column 'hit' of '0' holds '85'"),
        (hits("maybe"), "holds 'maybe'"),
        (hits(-1), "holds '-1'"),
        ([{"question": "q", "hit": 1}], "no column sample_id, id, index"),
        ([*hits(1), *hits(1)], "column 'index' holds '0' twice"),
        ([{"index": None, "question": "q", "hit": 1}], "column 'index' is empty in row 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(tmp_path, rows, said):
    path = put(tmp_path / "work", "m", MCQ, rows)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "work")
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scores_in_percent_are_refused_with_the_key_that_reads_them(tmp_path):
    put(tmp_path, "m", MCQ, hits(85, 0.5, "no", "yes"))
    dataset = MCQ.split("_")[0]
    way = rf"which is above 1; .* possible answer by 'scale: \{{{dataset}: <score>\}}' below source"
    with pytest.raises(InputError, match=way):
        read(tmp_path)
    table, _ = read(tmp_path, scale={dataset: 100})
    assert table.utility[:, 0].tolist() == [0.85, 0.005, 0, 1]
    with pytest.raises(InputError, match=r"source\.scale: .* no data set 'x'; it has"):
        read(tmp_path, scale={"x": 100})
    put(tmp_path, "m", MCQ, hits(1, 0.5))
    table, said = read(tmp_path, scale={dataset: 100})
    assert table.utility[:, 0].tolist() == [0.01, 0.005]
    assert any(UNSCALED in one for one in said)


@pytest.mark.parametrize(
    ("rest", "content"),
    [
        ("X_results.json", b"[1, 2]"),
        ("X_results.json", b"{"),
        ("X_results.json", b"[]"),
        ("X_results.json", b'{"index": [1, 2], "hit": [1]}'),
        ("X_results.json", b"[" * 100_000),
        ("X_openai_result.xlsx", b"broken"),
        ("X_openai_result.pkl", pickle.dumps(Fraction(1, 2))),
    ],
)
def test_a_broken_or_forbidden_file_is_named(tmp_path, rest, content):
    path = put(tmp_path / "work", "m", rest, hits(1))
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "work")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_judged_files_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        read(tmp_path / "gone")
    (tmp_path / "work").mkdir()
    with pytest.raises(InputError, match="no file says per sample .* none is of a model"):
        read(tmp_path / "work")
    put(tmp_path / "work", "m", MCQ, hits(1))
    with pytest.raises(InputError, match=r"source\.images"):
        read(tmp_path / "work", images=str(tmp_path / "gone"))


@pytest.mark.parametrize("suffix", ["xlsx", "json"])
def test_the_column_of_groups_can_be_named_and_must_be_there(tmp_path, suffix):
    rows = [row | {"g_index": 2 * (row["index"] // 2)} for row in hits(1, 0, 1, 0)]
    put(tmp_path, "m", f"Own_gpt-4_result.{suffix}", rows)
    put(tmp_path, "n", f"Own_gpt-4_result.{suffix}", hits(1, 1, 1, 1))
    table, _ = read(tmp_path, group="g_index")
    assert table.samples["group"].tolist() == ["0", "0", "2", "2"]
    assert read(tmp_path)[0].samples["group"].eq("").all()
    with pytest.raises(InputError, match=r"source.group: no file below .* a column 'variant'"):
        read(tmp_path, group="variant")
