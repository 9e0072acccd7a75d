import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.calls import UNSCALED
from mmroute.sources.cells import LONGEST_ANSWER
from mmroute.sources.lmms_eval import LmmsEval
from mmroute.storage import digest_bytes

DATE = "20250102_030405"


def line(doc_id, score=1.0, **fields):
    """One sample as the logs of today have it; a field that is None is left out."""
    record = {
        "doc_id": doc_id,
        "input": f"question {doc_id}?",
        "target": "A",
        "filtered_resps": ["A"],
        "resps": [["The answer is A"]],
        "doc_hash": "0f",
        "exact_match": score,
    } | fields
    return {name: value for name, value in record.items() if value is not None}


def log(folder, lines, model="org__m", task="vqa_val", date=DATE, end="\n"):
    path = folder / model / f"{date}_samples_{task}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, lines)) + end)
    return path


def read(folder, metrics=None, **more):
    """Return the table and what was said while reading it."""
    source = LmmsEval(str(folder), metrics, **more)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        table = source.read(source.fetch(folder / "unused"))
    return table, [str(warning.message) for warning in said]


def about(said, words):
    return [message for message in said if words in message]


def test_logs_become_outcomes_joined_by_doc_id(tmp_path):
    log(tmp_path, [line(0, 1), line(1, 0.5)], "org__a")
    log(tmp_path, [line(1, True), line(2, False, filtered_resps=["B"])], "b")
    log(tmp_path, [line(0, target=7)], "b", "math")
    table, said = read(tmp_path)
    validate(table, "logs")
    samples = table.samples
    assert table.model_names == ["b", "org__a"]
    assert samples["sample_id"].tolist() == ["math_0", "vqa_val_1", "vqa_val_2", "vqa_val_0"]
    assert samples["dataset"].tolist() == ["math", "vqa_val", "vqa_val", "vqa_val"]
    assert samples["scenario"].tolist() == samples["dataset"].tolist()
    assert samples["question"].tolist()[0] == "question 0?"
    assert samples["answer"].tolist() == ["7", "A", "A", "A"]
    np.testing.assert_array_equal(table.utility.T, [[1, 1, 0, np.nan], [np.nan, 0.5, np.nan, 1]])
    assert table.prediction.T.tolist() == [["A", "A", "B", None], [None, "A", None, "A"]]
    assert np.isnan(table.cost).all()
    assert about(said, "math: exact_match; vqa_val: exact_match")


@pytest.mark.parametrize(
    ("fields", "question"),
    [
        ({"input": "as sent"}, "as sent"),
        ({"input": None, "arguments": [["as sent", {"until": ["\n"]}, "task"]]}, "as sent"),
        ({"input": None, "arguments": ["as sent", "task"]}, "as sent"),
        ({"input": "", "doc": {"question": "plain"}}, "plain"),
        ({"input": None, "arguments": [{"until": 1}], "doc": {"question": "plain"}}, "plain"),
        ({"input": "half \ud800"}, "half ?"),
    ],
)
def test_the_question_is_the_prompt_or_else_the_documents(tmp_path, fields, question):
    log(tmp_path, [line(0, **fields)])
    assert read(tmp_path)[0].samples["question"].tolist() == [question]


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"filtered_resps": ["A"], "resps": [["long"]]}, "A"),
        ({"filtered_resps": [["A", "B"]], "resps": None}, "A"),
        ({"filtered_resps": [], "resps": [["long"]]}, "long"),
        ({"filtered_resps": [""], "resps": [["long"]]}, None),
        ({"filtered_resps": None, "resps": None}, None),
    ],
)
def test_the_prediction_is_the_filtered_answer_or_else_the_whole(tmp_path, fields, answer):
    log(tmp_path, [line(0, **fields)])
    assert read(tmp_path)[0].prediction.tolist() == [[answer]]


def test_tokens_are_estimated_from_each_models_own_texts(tmp_path):
    log(tmp_path, [line(0, input="x" * 40, resps=[["y" * 20]])], "a")
    log(tmp_path, [line(0, input="x" * 80, resps=None, filtered_resps=["y" * 8])], "b")
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.prompt_tokens, [[10, 20]])
    np.testing.assert_array_equal(table.completion_tokens, [[5, 2]])
    assert about(said, "4 token counts are estimated from the texts, without images")


def test_token_counts_of_the_log_count(tmp_path):
    counts = [{"input_tokens": 900, "output_tokens": 30, "reasoning_tokens": 20}]
    log(tmp_path, [line(0, token_counts=counts), line(1, token_counts=[None], resps=[["four"]])])
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.prompt_tokens.T, [[900, 3]])
    np.testing.assert_array_equal(table.completion_tokens.T, [[30, 1]])
    assert about(said, "2 token counts are estimated")
    log(tmp_path, [line(0, token_counts=counts)])
    assert not about(read(tmp_path)[1], "estimated")


# What tasks log, from the plain to those that need a word in the config.
PLAIN = {
    "number": {"exact_match": 0.25},
    "bool": {"exact_match": True},
    "object": {"mme_perception_score": {"question_id": "a/1", "category": "OCR", "score": 0.25}},
    "number beside an id": {"ocr": {"question_id": 3, "accuracy": 0.25}},
    "score beside numbers": {"acc": {"score": 0.25, "pages": 3, "skipped": False}},
    "equal metrics": {
        "pope_accuracy": {"question_id": 4, "score": 0.25},
        "pope_recall": {"question_id": 4, "score": 0.25},
    },
    "a submission": {"submission": {"x": 4}, "anls": 0.25},
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_utility_is_what_the_metrics_agree_on(tmp_path, name):
    log(tmp_path, [line(0, exact_match=None) | PLAIN[name]])
    expected = 1 if name == "bool" else 0.25
    assert read(tmp_path)[0].utility.tolist() == [[expected]]


def test_a_task_may_log_each_sample_under_another_metric(tmp_path):
    first = line(0, exact_match=None, mme_perception_score={"score": 1.0})
    second = line(1, exact_match=None, mme_cognition_score={"score": 0.0})
    log(tmp_path, [first, second])
    table, said = read(tmp_path)
    assert table.utility.T.tolist() == [[1, 0]]
    assert about(said, "vqa_val: mme_perception_score.score and 1 more")


def test_metrics_that_differ_need_a_word_in_the_config(tmp_path):
    differing = {"f1": 0.5, "detail": {"precision": 0.25, "recall": 0.75}}
    log(tmp_path, [line(0, 1.0, f1=1.0), line(1, 1.0, **differing)])
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    said = str(caught.value)
    assert f"{DATE}_samples_vqa_val.jsonl: line 2: exact_match is 1.0, f1 is 0.5" in said
    assert "detail.precision is 0.25, detail.recall is 0.75" in said
    assert "'metrics: {vqa_val: exact_match}'" in said
    table, said = read(tmp_path, {"vqa_val": "f1"})
    assert table.utility.T.tolist() == [[1, 0.5]]
    assert not about(said, "source.metrics names none")
    assert read(tmp_path, {"vqa_val": "detail.recall"})[0].utility[1] == [0.75]
    with pytest.raises(InputError, match=r"line 2: detail\.precision is 0\.25"):
        read(tmp_path, {"vqa_val": "detail"})


OPEN = {"id": "v_1", "subdomain": "Art", "answer": "A", "parsed_pred": ["B"]}


def test_logs_whose_scores_are_yet_to_be_computed_are_refused(tmp_path):
    log(tmp_path, [line(0, exact_match=None, mmmu_acc=OPEN)])
    with pytest.raises(InputError, match="one number per sample.*computed.*mmmu_acc"):
        read(tmp_path)


def test_a_task_whose_score_is_yet_to_be_computed_is_left_out_and_said(tmp_path):
    log(tmp_path, [line(0), line(1)], "b", "ai2d")
    for model in ("a", "b"):
        log(tmp_path, [line(0, exact_match=None, mmmu_acc=OPEN)], model, "mmmu")
    table, said = read(tmp_path)
    assert table.model_names == ["b"]
    assert table.samples["sample_id"].tolist() == ["ai2d_0", "ai2d_1"]
    (told,) = about(said, "left out")
    assert "2 logs have no metric" in told
    assert "samples_mmmu.jsonl, which has mmmu_acc" in told
    assert not about(said, "outcomes have no score")


def test_a_multiple_choice_of_mmmu_is_right_where_its_parsed_answer_is(tmp_path):
    choice = OPEN | {"question_type": "multiple-choice"}
    judged = [{"parsed_pred": ["A"]}, {"parsed_pred": "B"}, {"parsed_pred": ["A", "B"]}]
    judged += [{"question_type": "open"}]
    lines = [
        line(index, exact_match=None, mmmu_acc=choice | one) for index, one in enumerate(judged)
    ]
    log(tmp_path, lines)
    np.testing.assert_array_equal(read(tmp_path)[0].utility[:, 0], [1, 0, 0.5, np.nan])


@pytest.mark.parametrize("resps", [None, [[[-1.5, False]], [[-0.2, True]]]])
def test_answers_compared_by_likelihood_complete_nothing(tmp_path, resps):
    scored = {"filtered_resps": [[-1.5, False], [-0.2, True]], "resps": resps}
    log(tmp_path, [line(0, input="q" * 40, **scored), line(1, filtered_resps=[], resps=None)])
    table, _ = read(tmp_path)
    assert table.completion_tokens[0] == [0]
    assert np.isnan(table.completion_tokens[1])
    assert table.prompt_tokens[0] == [10]


@pytest.mark.parametrize("value", [7, -0.1, 1e999, 10**400])
def test_a_utility_out_of_range_is_refused(tmp_path, value):
    log(tmp_path, [line(0), line(1, value)])
    with pytest.raises(InputError, match=r"line 2: the metric 'exact_match' is .*not in \[0, 1\]"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\0\0"])
def test_a_json_that_is_no_log_is_told_of_unless_it_has_the_results(tmp_path, content):
    log(tmp_path, [line(0)])
    (tmp_path / "org__m" / f"{DATE}_results.json").write_text(content)
    assert about(read(tmp_path)[1], "are no logs of samples") == []
    (tmp_path / "org__m/vqa_test.json").write_text(content)
    told = about(read(tmp_path)[1], "1 files are no logs of samples and were skipped")
    assert "vqa_test.json" in told[0]


def test_scores_in_percent_are_refused_with_the_key_that_reads_them(tmp_path):
    log(tmp_path, [line(0, 85), line(1, 0.5)])
    way = r"not in \[0, 1\]; .* by 'scale: \{vqa_val: <score>\}'"
    with pytest.raises(InputError, match=way):
        read(tmp_path)
    assert read(tmp_path, scale={"vqa_val": 100})[0].utility[:, 0].tolist() == [0.85, 0.005]
    with pytest.raises(InputError, match=r"source\.scale: .* no logs of a task 'x'"):
        read(tmp_path, scale={"x": 100})
    log(tmp_path, [line(0, 1.0), line(1, 0.0)])
    table, said = read(tmp_path, scale={"vqa_val": 100})
    assert table.utility[:, 0].tolist() == [0.01, 0]
    assert any(UNSCALED in one for one in said)


def test_a_sample_without_a_score_is_missing_and_counted(tmp_path):
    log(tmp_path, [line(0), line(1, None), line(2, float("nan")), line(3, "good")])
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.utility.T, [[1, np.nan, np.nan, np.nan]])
    assert about(said, "3 outcomes have no score and are missing (such as vqa_val_1")


def test_metrics_of_the_config_have_to_be_in_the_logs(tmp_path):
    log(tmp_path, [line(0)])
    with pytest.raises(InputError, match=r"source\.metrics: .*task 'vqa'; it has vqa_val"):
        read(tmp_path, {"vqa": "exact_match"})
    with pytest.raises(InputError, match=r"metric 'anls'; its first line has exact_match, correct"):
        read(tmp_path, {"vqa_val": "anls"})


def test_two_models_measured_by_different_metrics_are_refused(tmp_path):
    log(tmp_path, [line(0, f1=1.0)], "a")
    log(tmp_path, [line(0, f1=1.0), line(1)], "b")
    log(tmp_path, [line(0, exact_match=None, anls=0.5)], "c")
    with pytest.raises(InputError, match="'vqa_val_0' is measured by anls, but by exact_match, f1"):
        read(tmp_path)


def test_the_newest_run_of_the_most_samples_is_read(tmp_path):
    log(tmp_path, [line(0, 0), line(1, 0)], date="20240101_000000")
    log(tmp_path, [line(0, 1), line(1, 1)], date="2024-06-01T00-00-00.5")
    log(tmp_path, [line(0, 0)], date="20250101_000000")
    table, said = read(tmp_path)
    assert table.utility.T.tolist() == [[1, 1]]
    (warning,) = about(said, "2 logs are not used")
    assert "org__m/20250101_000000_samples_vqa_val.jsonl beside 2024-06-01T00-00-00.5_" in warning


def test_a_killed_run_counts_by_its_whole_lines(tmp_path):
    cut = log(tmp_path, [line(0, 0), line(1, 0)], date="20250101_000000", end="")
    cut.write_text(cut.read_text()[:-5])
    table, said = read(tmp_path)
    assert table.samples["sample_id"].tolist() == ["vqa_val_0"]
    assert about(said, "1 logs are cut off in their last line")
    assert "line 2 of org__m/20250101" in about(said, "cut off")[0]
    log(tmp_path, [line(0, 1), line(1, 1)], date="20240101_000000")
    table, said = read(tmp_path)
    assert table.utility.T.tolist() == [[1, 1]]
    assert not about(said, "cut off")


def test_a_last_line_may_lack_its_end(tmp_path):
    log(tmp_path, [line(0, 0), line(1, 0)], date="20240101_000000")
    log(tmp_path, [line(0, 1), line(1, 1)], end="")
    assert read(tmp_path)[0].utility.T.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    "broken", ['{"doc_id": 1', "[1]", "null", "\x00", "[" * 100_000, '{"doc_id": 1e5', '"\\ud8"']
)
def test_a_broken_line_within_a_log_is_named(tmp_path, broken):
    path = log(tmp_path, [line(0)])
    path.write_text(f"{path.read_text()}{broken}\n{json.dumps(line(2))}\n")
    with pytest.raises(InputError, match=rf"{path}: line 2 is no JSON object"):
        read(tmp_path)


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = log(tmp_path, [line(0)])
    path.write_bytes(path.read_bytes() + b'{"doc_id": "\xff"}\n')
    with pytest.raises(InputError, match="line 2 is no JSON object"):
        read(tmp_path)


@pytest.mark.parametrize("doc_id", [None, True, 1.5, [1], {}])
def test_a_line_needs_an_id(tmp_path, doc_id):
    log(tmp_path, [line(doc_id)])
    with pytest.raises(InputError, match="line 1: doc_id is .*, no number or text"):
        read(tmp_path)


def test_a_doc_id_that_stands_twice_is_refused(tmp_path):
    log(tmp_path, [line(0), line(1), line("0")])
    with pytest.raises(InputError, match="doc_id '0' stands twice; .* the lines of one filter"):
        read(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    path = log(tmp_path, [line(0), line(1)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read(tmp_path)[0].samples) == 2


def test_a_metric_within_bounds_is_proposed_where_several_differ(tmp_path):
    log(tmp_path, [line(0, exact_match=None, bleu_max=41.5, bleu_acc=1)])
    with pytest.raises(InputError, match=r"name the one .*: bleu_acc\}' below source"):
        read(tmp_path)
    log(tmp_path, [line(0, exact_match=None, mae=float("inf"))])
    with pytest.raises(InputError, match=r"'mae' is inf, .*take the logs of 'vqa_val' out of"):
        read(tmp_path)


def test_other_prompts_and_targets_of_a_sample_are_counted(tmp_path):
    log(tmp_path, [line(0, input="mine"), line(1)], "a")
    log(tmp_path, [line(0, input="yours"), line(1, target="B")], "b")
    table, said = read(tmp_path)
    assert table.samples["question"].tolist() == ["mine", "question 1?"]
    assert table.samples["answer"].tolist() == ["A", "A"]
    assert about(said, "1 prompts differ from the one that another model got")
    assert about(said, "1 targets differ")


def test_an_image_is_a_file_below_the_folder_or_none(tmp_path):
    folder = tmp_path / "logs"
    docs = [
        {"image_path": "pics/1.jpg"},
        {"image": str(folder / "pics/1.jpg")},
        {"image": "<PIL.PngImagePlugin.PngImageFile image mode=RGB>"},
        {"image": "../secret.jpg"},
        {"image": "/etc/passwd"},
        {"image": {"bytes": "AA"}},
        {"image": "x" * 5000},
        {"image": "a\0b"},
    ]
    log(folder, [line(number, doc=doc) for number, doc in enumerate(docs)])
    (folder / "pics").mkdir()
    (folder / "pics/1.jpg").write_bytes(b"pixels")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    table, said = read(folder)
    assert table.samples["image"].fillna("").tolist() == ["pics/1.jpg"] * 2 + [""] * 6
    assert table.samples["image_digest"][0] == digest_bytes(b"pixels")
    assert table.samples["image_digest"][2:].tolist() == [
        f"unknown vqa_val_{i}" for i in range(2, 8)
    ]
    assert about(said, "6 samples are without an image")


def test_other_files_beside_the_logs_are_skipped_and_said(tmp_path):
    path = log(tmp_path, [line(0)])
    (path.parent / f"{DATE}_results.json").write_text("{")
    (path.parent / "notes.jsonl").write_text("{")
    said = read(tmp_path)[1]
    assert "notes.jsonl" in about(said, "1 files are no logs of samples")[0]


def test_a_task_may_be_called_after_samples(tmp_path):
    log(tmp_path, [line(0)], task="few_samples_x")
    harness_log(tmp_path, [harness_line(0, 1.0)], task="no_samples_y")
    assert read(tmp_path)[0].samples["dataset"].tolist() == ["few_samples_x", "no_samples_y"]


def test_a_folder_without_logs_is_named(tmp_path):
    (tmp_path / f"{DATE}_samples_x.jsonl").write_text("")
    for call in (LmmsEval(str(tmp_path)).local_files, lambda: read(tmp_path)):
        with pytest.raises(InputError, match=rf"{tmp_path}: no <model>.*--output_path"):
            call()


def test_local_files_are_all_logs_and_the_documents_name_the_images(tmp_path):
    docs = [{"image": "1.jpg"}, {"image_path": f"{tmp_path}/2.jpg"}, {"image": "../3.jpg"}, {}, 7]
    lines = [line(number, doc=doc) for number, doc in enumerate(docs)]
    paths = [log(tmp_path, lines, date=date) for date in ("20240101", "20250101")]
    source = LmmsEval(str(tmp_path))
    assert sorted(source.local_files()) == sorted(paths)
    assert set(source.image_names()) == {"1.jpg", "2.jpg"}


def test_a_log_that_is_no_file_is_skipped_and_one_without_a_name_in_utf8_refused(tmp_path):
    log(tmp_path, [line(0)])
    (tmp_path / f"org__m/{DATE}_samples_gone.jsonl").symlink_to("nowhere")
    table, said = read(tmp_path)
    assert table.samples["dataset"].tolist() == ["vqa_val"]
    assert about(said, "1 files are no logs of samples and were skipped")
    (tmp_path / "org__m/caf\udce9.jsonl").write_text("")
    _, said = read(tmp_path)
    assert about(said, "2 files are no logs")[0].isprintable()
    log(tmp_path, [line(0)], task="caf\udce9")
    with pytest.raises(InputError, match="the name is not UTF-8; rename"):
        read(tmp_path)


def test_tasks_of_lm_evaluation_harness_have_no_images_to_miss(tmp_path):
    log(tmp_path, [line(0)], task="seen")
    harness_log(tmp_path, [harness_line(0, 1.0)], task="told")
    table, said = read(tmp_path)
    digests = dict(zip(table.samples["dataset"], table.samples["image_digest"], strict=True))
    assert digests["seen"] == "unknown seen_0"
    assert pd.isna(digests["told"])
    assert about(said, "1 samples are without an image")


def test_a_long_answer_is_cut_and_said(tmp_path):
    log(tmp_path, [line(0, filtered_resps=["x" * 5000], resps=None)])
    table, said = read(tmp_path)
    assert table.prediction.tolist() == [["x" * LONGEST_ANSWER]]
    assert table.completion_tokens.tolist() == [[1250]]
    assert about(said, "1 answers were cut after 1,000 characters")


@pytest.mark.slow
def test_a_large_log_takes_little_memory(tmp_path):
    path = log(tmp_path, [])
    with path.open("w") as stream:
        for number in range(10_000):
            response = f"{number} " * 2000
            stream.write(json.dumps(line(number, resps=[[response]], filtered_resps=[response])))
            stream.write("\n")
    assert path.stat().st_size > 150e6
    program = (
        "import resource, sys, warnings\n"
        "from mmroute.sources.lmms_eval import LmmsEval\n"
        "warnings.simplefilter('ignore')\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "from pathlib import Path\n"
        "before = peak()\n"
        "table = LmmsEval(sys.argv[1]).read(Path(sys.argv[1]))\n"
        "print(len(table.samples), (peak() - before) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    samples, megabytes = map(int, done.stdout.split())
    assert samples == 10_000
    assert megabytes < 100


def test_two_tasks_cannot_share_a_sample_id(tmp_path):
    log(tmp_path, [line("1_2")], task="a")
    log(tmp_path, [line(2)], task="a_1")
    with pytest.raises(InputError, match="sample id 'a_1_2' is taken by task 'a'"):
        read(tmp_path)


def test_an_image_that_only_a_later_log_names_is_found(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"pixels")
    log(tmp_path, [line(0)], "a")
    log(tmp_path, [line(0, doc={"image": "1.jpg"})], "b")
    assert read(tmp_path)[0].samples["image"].tolist() == ["1.jpg"]


def test_a_pipe_in_place_of_a_log_is_refused(tmp_path):
    pipe = log(tmp_path, [line(0)])
    pipe.unlink()
    os.mkfifo(pipe)
    for dates in ([DATE], [DATE, "20240102_030405"]):
        for date in dates[1:]:
            log(tmp_path, [line(0)], date=date)
        with pytest.raises(InputError, match=r"\.jsonl: is a pipe, no regular file"):
            read(tmp_path)


def test_a_pipe_in_place_of_an_image_is_no_image(tmp_path):
    log(tmp_path, [line(0, doc={"image": "1.png"})])
    os.mkfifo(tmp_path / "1.png")
    assert read(tmp_path)[0].samples["image"].isna().all()


def test_a_log_with_twenty_thousand_metrics_is_read(tmp_path):
    metrics = {f"m{number}": 1 for number in range(20_000)}
    log(tmp_path, [line(number, **metrics) for number in range(3)])
    table, _ = read(tmp_path)
    assert table.utility.tolist() == [[1]] * 3


def test_groups_come_from_a_key_of_the_documents_that_must_be_there(tmp_path):
    docs = [{"chat": "a"}, {"chat": "a"}, {"chat": 7}, {"chat": ["no", "text"]}]
    log(tmp_path, [line(number, doc=doc) for number, doc in enumerate(docs)])
    table, _ = read(tmp_path, group="chat")
    assert table.samples["group"].tolist() == ["a", "a", "7", ""]
    assert read(tmp_path)[0].samples["group"].eq("").all()
    with pytest.raises(InputError, match="source.group: no document below .* at 'turn'"):
        read(tmp_path, group="turn")


HARNESS_DATE = "2025-01-02T03-04-05.678901"


def harness_log(folder, lines, model="org__m", task="gsm8k", date=HARNESS_DATE):
    """Write a log as lm-evaluation-harness names it, flat if there is no model."""
    path = folder / model / f"samples_{task}_{date}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    return path


def harness_line(doc_id, score, filter="none", **fields):
    arguments = {"gen_args_0": {"arg_0": f"question {doc_id}?", "arg_1": {"until": ["."]}}}
    return line(doc_id, None, input=None, arguments=arguments) | {
        "exact_match": score,
        "filter": filter,
        "metrics": ["exact_match"],
        **fields,
    }


def test_logs_of_the_harness_are_read_by_their_name(tmp_path):
    harness_log(tmp_path, [harness_line(0, 1.0), harness_line(1, 0.0)], "org__a")
    harness_log(tmp_path, [harness_line(0, 0.0)], "b", date="2025-01-03T00-00-00.1")
    harness_log(tmp_path, [harness_line(0, 1.0)], "b", date="2025-01-02T00-00-00.1")
    table, said = read(tmp_path)
    assert table.model_names == ["b", "org__a"]
    assert table.samples["sample_id"].tolist() == ["gsm8k_0", "gsm8k_1"]
    assert table.samples["question"].tolist() == ["question 0?", "question 1?"]
    np.testing.assert_array_equal(table.utility, [[0, 1], [np.nan, 0]])
    np.testing.assert_array_equal(table.prompt_tokens, [[3, 3], [np.nan, 3]])
    assert "samples_gsm8k_2025-01-02T00" in about(said, "1 logs are not used")[0]


def test_flat_logs_of_the_harness_are_of_the_model_that_their_results_name(tmp_path):
    folder = tmp_path / "mine"
    logs = [harness_log(folder, [harness_line(0, 1.0)], "")]
    later = "2025-02-02T03-04-05.678901"
    logs.append(harness_log(folder, [harness_line(0, 0.0)], "", date=later))
    results = folder / f"big_{later}.json"
    results.write_text('{"model_name": "org/big", "model_name_sanitized": "org__big"}')
    table, _ = read(folder)
    assert table.model_names == ["mine", "org__big"]
    assert table.utility.tolist() == [[1, 0]]
    source = LmmsEval(str(folder))
    assert sorted(source.local_files()) == sorted([*logs, results])
    assert list(source.image_names()) == []


FILTERED = [
    harness_line(0, 0.0, "strict-match"),
    harness_line(1, 1.0, "strict-match"),
    harness_line(0, 1.0, "flexible-extract"),
    harness_line(1, 1.0, "flexible-extract"),
]


@pytest.mark.parametrize(
    ("filter", "utility"), [("strict-match", [0, 1]), ("flexible-extract", [1, 1])]
)
def test_of_several_filters_the_one_that_is_named_counts(tmp_path, filter, utility):
    harness_log(tmp_path, FILTERED)
    harness_log(tmp_path, [harness_line(0, 0.5)], task="other")
    table, _ = read(tmp_path, filter=filter)
    assert table.samples["sample_id"].tolist() == ["gsm8k_0", "gsm8k_1", "other_0"]
    assert table.utility[:, 0].tolist() == [*utility, 0.5]


def test_several_filters_have_to_be_told_apart(tmp_path):
    path = harness_log(tmp_path, FILTERED)
    said = rf"{path}: its rows are of the filters strict-match, flexible-extract; .*source\.filter"
    with pytest.raises(InputError, match=said):
        read(tmp_path)
    with pytest.raises(InputError, match=said):
        read(tmp_path, filter="none")
    path.write_text(json.dumps(harness_line(0, 1.0)))
    with pytest.raises(InputError, match=r"source\.filter: .* 'strict'; it has none"):
        read(tmp_path, filter="strict")


def test_likelihoods_of_the_harness_are_text_and_complete_nothing(tmp_path):
    choices = [["-1.5", "False"], ["-0.25", "True"]]
    arguments = {
        f"gen_args_{number}": {"arg_0": "q" * 40, "arg_1": f" {choice}"}
        for number, choice in enumerate("AB")
    }
    likelihoods = {"filtered_resps": choices, "resps": [[choice] for choice in choices]}
    harness_log(tmp_path, [harness_line(0, 1.0, arguments=arguments, **likelihoods)])
    table, _ = read(tmp_path)
    assert table.prompt_tokens.tolist() == [[10]]
    assert table.completion_tokens.tolist() == [[0]]
    assert table.prediction.tolist() == [[None]]


def older_log(folder, lines, run, task="mme"):
    path = folder / run / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"args": {}, "model_configs": {}, "logs": lines, "time": 1}))
    (path.parent / "results.json").write_text('{"results": {}, "configs": {}}')
    return path


def test_older_logs_are_read_from_their_folders_of_runs(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"pixels")
    older_log(tmp_path, [line(0, 0), line(1, 0)], "0612_1200_llava_args_0f")
    newer = [line(0, 1, doc={"image": "1.jpg"}), line(1, 0.5)]
    path = older_log(tmp_path, newer, "0613_1432_llava_args_0f")
    table, said = read(tmp_path)
    assert table.model_names == ["llava_args_0f"]
    assert table.samples["sample_id"].tolist() == ["mme_0", "mme_1"]
    assert table.samples["image"].fillna("").tolist() == ["1.jpg", ""]
    assert table.utility[:, 0].tolist() == [1, 0.5]
    told = about(said, "1 logs are not used")[0]
    assert "0612_1200_llava_args_0f/mme.json beside 0613_1432_llava_args_0f/mme.json" in told
    assert set(LmmsEval(str(tmp_path)).image_names()) == {"1.jpg"}
    path.write_text(path.read_text()[:-30])
    with pytest.raises(InputError, match=rf"{path}: is no whole JSON with a list of 'logs'"):
        read(tmp_path)


def test_a_document_may_name_several_images(tmp_path):
    docs = [
        {"image": ["pics/2.jpg", "pics/1.jpg"]},
        {"image_path": ["gone.jpg"], "image": ["pics/1.jpg", "gone.jpg", "../secret.jpg"]},
        {"image": ["pics/1.jpg", {"bytes": "AA"}]},
    ]
    log(tmp_path / "logs", [line(number, doc=doc) for number, doc in enumerate(docs)])
    (tmp_path / "logs/pics").mkdir()
    for name in "12":
        (tmp_path / f"logs/pics/{name}.jpg").write_bytes(name.encode())
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    table, said = read(tmp_path / "logs")
    assert table.samples["image"].tolist() == ["pics/2.jpg//pics/1.jpg", "pics/1.jpg", "pics/1.jpg"]
    one, two = digest_bytes(b"1"), digest_bytes(b"2")
    assert table.samples["image_digest"].tolist() == [
        f"{two}//{one}",
        f"{one}//unknown gone.jpg",
        one,
    ]
    assert about(said, "2 documents name images among others that are no files below this folder")
    named = set(LmmsEval(str(tmp_path / "logs")).image_names())
    assert named == {"pics/1.jpg", "pics/2.jpg", "gone.jpg"}
