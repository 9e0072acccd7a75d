from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources import embedllm
from mmroute.sources.embedllm import EmbedLlm


def row(prompt, model, label=1, /, **given):
    return {
        "prompt_id": prompt,
        "model_id": model,
        "category_id": prompt % 2,
        "label": label,
        "prompt": f'Question {prompt},\nsaid "x"',
        "model_name": f"org__m{model}",
        "category": ["mmlu_law", "mmlu_art"][prompt % 2],
    } | given


def release(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    return folder


def read(path, **arguments):
    source = EmbedLlm(path=str(path), **arguments)
    with pytest.warns(UserWarning, match=r"no token counts.*estimated.*completion_tokens"):
        return source.read(source.fetch(Path("unused")))


def test_a_release_becomes_an_outcome_table(tmp_path):
    release(
        tmp_path,
        train=[row(1, 0, 1), row(1, 1, 0), row(0, 1, 0.5)],
        test=[row(2, 1, "True"), row(2, 0, "")],
        question_order=[{"prompt_id": 9, "prompt": "not read"}],
    )
    table = read(tmp_path, completion_tokens=7)
    validate(table, "here")
    assert table.model_names == ["org__m0", "org__m1"]
    samples = table.samples
    assert samples["sample_id"].tolist() == ["mmlu_art_1", "mmlu_law_0", "mmlu_law_2"]
    assert samples["dataset"].tolist() == ["mmlu_art", "mmlu_law", "mmlu_law"]
    assert samples["scenario"].tolist() == ["mmlu"] * 3
    assert samples["question"].tolist() == [f'Question {i},\nsaid "x"' for i in (1, 0, 2)]
    assert samples["tag_split"].tolist() == ["train", "train", "test"]
    assert samples[["answer", "image", "image_digest"]].isna().all(axis=None)
    np.testing.assert_array_equal(table.utility, [[1, 0], [np.nan, 0.5], [np.nan, 1]])
    assert np.isnan(table.cost).all()
    # 20 bytes of question are 5 tokens.
    np.testing.assert_array_equal(table.prompt_tokens, [[5, 5], [np.nan, 5], [np.nan, 5]])
    np.testing.assert_array_equal(table.completion_tokens, [[7, 7], [np.nan, 7], [np.nan, 7]])
    assert (table.prediction == None).all()  # noqa: E711


def test_rows_may_come_in_any_order_and_block(tmp_path, monkeypatch):
    rows = [row(prompt, model, (prompt * model) % 2) for prompt in range(40) for model in range(5)]
    order = np.random.default_rng(0).permutation(len(rows))
    release(tmp_path, train=[rows[index] for index in order])
    monkeypatch.setattr(embedllm, "CSV_BLOCK_BYTES", 2000)
    table = read(tmp_path)
    for sample, utility in zip(table.samples["sample_id"], table.utility, strict=True):
        prompt = int(sample.rpartition("_")[2])
        for model, value in zip(table.model_names, utility, strict=True):
            assert value == (prompt * int(model[-1])) % 2
    assert len(table.samples) == 40


def test_without_names_the_numbers_are_the_names(tmp_path):
    bare = [
        {key: value for key, value in row(1, 3).items() if key not in ("model_name", "category")}
    ]
    table = read(release(tmp_path, val=bare))
    assert table.model_names == ["3"]
    assert table.samples["dataset"].tolist() == ["1"]
    assert table.samples["tag_split"].tolist() == ["val"]


def test_texts_are_kept_as_they_are(tmp_path):
    texts = ["NA", "null", "007", "字😀"]
    rows = [row(index, 0, prompt=text) for index, text in enumerate(texts)]
    assert read(release(tmp_path, train=rows)).samples["question"].tolist() == texts


def test_a_single_file_may_be_given(tmp_path):
    release(tmp_path, train=[row(1, 0)], test=[row(2, 0)])
    assert read(tmp_path / "test.csv").samples["sample_id"].tolist() == ["mmlu_law_2"]
    source = EmbedLlm(path=str(tmp_path))
    assert source.local_files() == [tmp_path / "train.csv", tmp_path / "test.csv"]
    assert source.origin(tmp_path) == tmp_path
    assert EmbedLlm(repo="a/b", revision="main").local_files() == []


def test_the_hub_gives_what_the_folder_gives(tmp_path, check_on_hub):
    folder = release(
        tmp_path / "r",
        train=[row(1, 0, 1), row(1, 1, 0), row(0, 1, 0.5)],
        val=[row(3, 1)],
        test=[row(2, 1, "True"), row(2, 0, "")],
        question_order=[{"prompt_id": 9, "prompt": "not read"}],
    )
    check_on_hub(EmbedLlm, folder, {"train.csv", "val.csv", "test.csv"})


def test_a_file_that_the_hub_has_no_longer_is_not_read(tmp_path, hub):
    source = EmbedLlm(repo="someone/release", revision="v1")
    folder = release(tmp_path / "r", train=[row(1, 0)], val=[row(2, 0)])
    for splits in (["train", "val"], ["train"]):
        hub.serve(folder)
        with pytest.warns(UserWarning, match="no token counts"):
            table = source.read(source.fetch(tmp_path / "source"))
        assert table.samples["tag_split"].tolist() == splits
        (folder / "val.csv").unlink(missing_ok=True)


def test_a_folder_without_the_files_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no train\.csv or .* in this folder.*source\.path"):
        EmbedLlm(path=str(tmp_path)).local_files()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(1, 0, "maybe")], "'label' of '1' holds 'maybe'"),
        ([row(1, 0, 2)], "'label' of '1' holds '2'"),
        ([row(1, 0, -1)], "'label' of '1' holds '-1'"),
        ([row(1, 0, prompt="x"), row(1, 1)], "prompt_id '1' stands for both 'x' and"),
        ([row(1, 0, category="x"), row(1, 1)], "prompt_id '1' stands for both 'x' and"),
        ([row(1, 0), row(1, 0)], r"1 rows repeat .* '1' with 'org__m0'"),
        ([row(1, 0, model_name="")], "'model_name' is empty"),
        ([row(1, 0, prompt_id="")], "'prompt_id' is empty"),
        ([{"prompt_id": 1}], "no column 'model_name' or 'model_id'"),
        ([], "not readable as CSV"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, rows, said):
    release(tmp_path, train=rows)
    source = EmbedLlm(path=str(tmp_path))
    with pytest.raises(InputError, match=said) as raised:
        source.read(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_prompt_in_two_splits_is_refused(tmp_path):
    release(tmp_path, train=[row(1, 0)], val=[row(1, 1)])
    with pytest.raises(InputError, match=r"val\.csv: prompt_id '1' stands for both 'train' and"):
        EmbedLlm(path=str(tmp_path)).read(tmp_path)


@pytest.mark.parametrize("text", ["prompt_id,model_id\n1\n", ",".join(row(1, 0)) + "\n"])
def test_a_broken_or_empty_file_is_refused(tmp_path, text):
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(InputError, match=r"train\.csv: "):
        EmbedLlm(path=str(tmp_path)).read(tmp_path)
