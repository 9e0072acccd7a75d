import json
import warnings

import numpy as np
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.routerarena import RouterArena


def line(index, score, question="Why?", **given):
    evaluation = {"extracted_answer": "B", "ground_truth": "B", "score": score, "metric": "mcq"}
    return {
        "global_index": index,
        "question": question,
        "llm_selected": "openai/m",
        "generated_answer": "It is B.",
        "token_usage": {"input_tokens": 40, "output_tokens": 7, "total_tokens": 47},
        "success": True,
        "error": None,
        "evaluation_result": {**evaluation, "inference_cost": 0.25},
    } | given


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return path


def release(folder):
    cached = folder / "cached_results"
    write(
        cached / "openai_m.jsonl",
        line("MMLUPro_law_1", 1.0),
        line("MMLUPro_computer science_9", 0.5, "How?"),
        line("AIME_112", None, success=False, generated_answer=None, evaluation_result=None),
        line("AIME_113", 0, evaluation_result=None),
    )
    answer = {"generated_answer": "C", "success": True, "token_usage": {"output_tokens": 3}}
    write(
        cached / "n.jsonl",
        line("AIME_112", 0, generated_result=answer, token_usage=None, generated_answer=None),
        line("MMLUPro_law_1", 0.0),
        line("MMLUPro_law_1", 1, evaluation_result={"score": 0.75}),
        line("MMLUPro_law_1", None, evaluation_result=None),
    )
    write(cached / "unjudged.jsonl", line("AIME_112", None))
    return folder


def read(folder):
    source = RouterArena(str(folder))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = source.read(source.fetch(folder / "unused"))
    return table, [str(warning.message).partition(": ")[2] for warning in caught]


def test_cached_results_become_an_outcome_table(tmp_path):
    table, said = read(release(tmp_path / "r"))
    validate(table, "here")
    samples = table.samples
    assert samples["sample_id"].tolist() == [
        "AIME_112",
        "MMLUPro_law_1",
        "MMLUPro_computer science_9",
        "AIME_113",
    ]
    assert samples["dataset"].tolist() == ["AIME", "MMLUPro", "MMLUPro", "AIME"]
    assert samples["scenario"].tolist() == ["AIME", "MMLUPro", "MMLUPro", "AIME"]
    assert samples["tag_subject"].tolist() == ["", "law", "computer science", ""]
    assert samples["question"].tolist() == ["Why?", "Why?", "How?", "Why?"]
    assert samples["answer"].fillna("none").tolist() == ["B", "B", "B", "none"]
    assert samples[["image", "image_digest"]].isna().all(axis=None)
    assert table.model_names == ["n", "openai_m"]
    nan = np.nan
    np.testing.assert_array_equal(table.utility, [[0, nan], [0.75, 1], [nan, 0.5], [nan, nan]])
    np.testing.assert_array_equal(table.cost, [[0.25, nan], [nan, 0.25], [nan, 0.25], [nan, nan]])
    np.testing.assert_array_equal(table.prompt_tokens[:3], [[nan, nan], [40, 40], [nan, 40]])
    np.testing.assert_array_equal(table.completion_tokens[:3], [[3, nan], [7, 7], [nan, 7]])
    assert table.prediction.tolist() == [
        ["C", None],
        ["It is B.", "It is B."],
        [None, "It is B."],
        [None, None],
    ]
    assert [one.partition(" (")[0] for one in said] == [
        "1 lines repeat a query of their file; the last one counts",
        "3 answers were not evaluated; their outcomes are missing",
        "1 calls failed; their outcomes are missing",
        "1 models have no outcome and are left out",
    ]
    assert said[3].endswith("(such as 'unjudged')")


def test_data_sets_that_begin_alike_are_a_scenario(tmp_path):
    write(tmp_path / "a.jsonl", line("WMT19-cs-en_1", 1), line("WMT19-de-en_1", 1), line("A_1", 0))
    table, _ = read(tmp_path)
    assert table.samples["dataset"].tolist() == ["WMT19-cs-en", "WMT19-de-en", "A"]
    assert table.samples["scenario"].tolist() == ["WMT19", "WMT19", "A"]


def test_the_answer_may_be_the_generated_result_itself(tmp_path):
    given = line("AIME_1", 1, generated_result="42")
    del given["generated_answer"]
    write(tmp_path / "a.jsonl", given)
    table, _ = read(tmp_path)
    assert table.prediction.tolist() == [["42"]]


def test_a_score_below_0_counts_as_0_and_is_said(tmp_path):
    write(tmp_path / "a.jsonl", line("NarrativeQA_1", -0.033), line("NarrativeQA_2", 0.5))
    table, said = read(tmp_path)
    assert table.utility.tolist() == [[0], [0.5]]
    assert said == [
        "1 scores are below 0, as those of METEOR can be here, and count as 0 (such as "
        "'NarrativeQA_1 in a.jsonl')"
    ]


def test_files_of_a_folder_or_one_file_are_read(tmp_path):
    path = write(tmp_path / "a.jsonl", line("AIME_1", 1))
    write(tmp_path / "b.jsonl", line("AIME_1", 0))
    assert read(tmp_path)[0].model_names == ["a", "b"]
    source = RouterArena(str(path))
    assert source.local_files() == [path]
    with pytest.raises(InputError, match=r"no cached_results/<model>\.jsonl or .*source\.path"):
        RouterArena(str(tmp_path / "gone")).local_files()


def test_the_hub_gives_what_the_folder_gives(tmp_path, check_on_hub):
    folder = release(tmp_path / "r")
    wanted = {f"cached_results/{name}.jsonl" for name in ("n", "openai_m", "unjudged")}
    write(folder / "other.jsonl", {})
    check_on_hub(RouterArena, folder, wanted)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (line("AIME_1", 85), "line 2: key 'evaluation_result.score' holds 85, .* from 0 to 1"),
        (line("AIME_1", -1), "line 2: key 'evaluation_result.score' holds -1"),
        (line("AIME_1", "1"), "line 2: key 'evaluation_result.score' holds '1'"),
        (
            line("AIME_1", 1, token_usage={"input_tokens": -1}),
            "'token_usage.input_tokens' holds -1",
        ),
        (line(7, 1), "line 2: key 'global_index' holds 7; name the query <dataset>_<number>"),
        (line("AIME_", 1), "line 2: key 'global_index' holds 'AIME_'; name the query"),
        ([], "line 2 holds a list, not an object; correct it"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path, given, said):
    path = write(tmp_path / "a.jsonl", line("AIME_0", 1), given)
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b'{"global_index": ', b"\xff\n", b"[" * 10**6])
def test_what_is_no_json_is_named(tmp_path, content):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jsonl: line 1 is not readable as JSON"):
        read(tmp_path)


def test_an_empty_file_is_named(tmp_path):
    write(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match=r"a\.jsonl: holds no lines; give a file with at least"):
        read(tmp_path)
