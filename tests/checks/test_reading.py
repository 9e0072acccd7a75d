"""What stops a run: sources, prices, pools, splits. Each remark has its test."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmroute.checks.reading import MODEL_COLUMNS
from mmroute.outcome_table import PRICE_COLUMNS

pytestmark = pytest.mark.slow

PRICES = ",".join(("model", *PRICE_COLUMNS))


def test_a_source_that_is_not_there(bench):
    bench.source["path"] = str(bench.folder / "nowhere.csv")
    found = bench.check()
    (error,) = found.errors
    assert "nowhere.csv: no such file" in error.message
    assert "set source.path" in error.cure
    assert "nothing could be read" in found.text()
    assert found.datasets.empty
    assert list(found.models) == list(MODEL_COLUMNS)


def test_each_unusable_source_of_several(bench):
    bench.source = {
        "join": [{"kind": "table", "path": str(bench.folder / f"{name}.csv")} for name in "xyz"]
    }
    (bench.folder / "y.csv").write_text("sample_id,model,utility,cost\ns1,m,1,0.1\n")
    assert len(bench.check().errors) == 2
    for name, utility in (("x", 2), ("z", "perhaps")):
        cells = f"sample_id,model,utility,cost\ns1,{name},{utility},0.1\n"
        (bench.folder / f"{name}.csv").write_text(cells)
    first, second = bench.check().errors
    assert "x.csv" in first.message
    assert "'perhaps'" in second.message


def test_a_price_table_that_is_not_there(bench):
    bench.tokens_for_costs()
    path = bench.price_file()
    path.unlink()
    found = bench.check()
    assert found.one("source.prices: no file").cure == "write this file, or name another"
    lines = found.one("neither costs nor prices").cure.split("\n")[-4:]
    path.write_text("\n".join(lines).replace("?", "1.5"))
    assert bench.check().errors == []


def test_a_price_table_without_its_columns_or_with_a_model_twice(bench):
    bench.tokens_for_costs()
    path = bench.price_file()
    path.write_text("name,usd\na,1\n")
    assert PRICES in bench.check().one("no column 'model'").cure
    bench.price_file("a,1,1", "a,2,2", "b,1,1", "c,1,2")
    bench.check().one("'a' stands twice")


def test_all_models_without_a_price_with_lines_to_paste(bench):
    bench.tokens_for_costs()
    bench.rows["model"] = bench.rows["model"].replace({"b": "Big, B", "c": "c"})
    path = bench.price_file("a,1,2", "C-model,3,n/a", "c,3,n/a")
    found = bench.check()
    (error,) = found.errors
    assert "no price for 2 models: Big, B, c" in error.message
    _, *lines = error.cure.split("\n")
    assert lines == ['"Big, B",?,?', "c,3,?"]
    path.write_text("\n".join([PRICES, "a,1,2", *lines]).replace("?", "7"))
    found = bench.check()
    assert found.errors == []
    prices = found.models.set_index("model").loc["c", list(PRICE_COLUMNS)]
    assert prices.tolist() == [3, 7]


def test_the_lines_have_the_columns_of_the_price_table(bench):
    bench.tokens_for_costs()
    path = bench.price_file()
    columns = ["usd_per_1m_completion_tokens", "note", "model", "usd_per_1m_prompt_tokens"]
    path.write_text(",".join(columns) + "\n1,x,a,1\n")
    cure = bench.check().one("no price for 2 models: b, c").cure
    assert cure.split("\n")[1:] == ["?,,b,?", "?,,c,?"]


def test_token_counts_without_prices(bench):
    bench.tokens_for_costs()
    error = bench.check().one("neither costs nor prices: a, b, c")
    line, _, *csv = error.cure.split("\n")
    assert line == "source: {..., prices: my/prices.csv}"
    bench.source["prices"] = str(bench.folder / "prices.csv")
    Path(bench.source["prices"]).write_text("\n".join(csv).replace("?", "2"))
    assert bench.check().errors == []


def test_models_without_any_cost(bench):
    bench.rows.loc[bench.of("b") | bench.of("c"), "cost"] = np.nan
    error = bench.check().one("neither costs nor token counts: b, c")
    found = bench.cure(error)
    assert found.errors == []
    assert found.models["used"].tolist() == [True, False, False]


def test_unknown_names_in_the_pool(bench):
    bench.rows["model"] = bench.rows["model"].replace({"a": "GPT-4o", "b": "Qwen"})
    found = bench.check(pool=["gpt4o", "Qwen", "zebra"])
    assert len(found.errors) == 2
    assert "pool: [GPT-4o, Qwen]" in found.one("'gpt4o'").cure
    assert "it has: GPT-4o, Qwen, c" in found.one("'zebra'").cure
    found = bench.cure(found.one("'zebra'"))
    assert found.errors == []
    assert found.models[found.models["used"]]["model"].tolist() == ["GPT-4o", "Qwen"]


def test_a_model_twice_in_the_pool(bench):
    error = bench.check(pool=["a", "b", "a"]).one("model 'a' stands there twice")
    assert bench.cure(error).errors == []
    assert bench.config["pool"] == ["a", "b"]


def test_a_pool_of_unknown_names_only(bench):
    found = bench.check(pool=["zebra"])
    assert found.one("'zebra'").cure.endswith("\npool: null")
    assert bench.cure(found.one("'zebra'")).errors == []


def test_no_model_with_enough_coverage(bench):
    bench.rows = bench.rows[
        (bench.of("a") & (bench.number % 3 > 0)) | (bench.of("b") & (bench.number < 200))
    ]
    missing = bench.rows.iloc[:1].assign(sample_id="s999", model="c", question="gone")
    bench.rows = pd.concat([bench.rows, missing])
    error = bench.check().one("no model reaches min_coverage 90%")
    assert "b 59.9%, a 79.6%, c 0.3%" in error.message
    assert error.cure == "min_coverage: 0.796"
    found = bench.cure(error)
    assert found.errors == []
    assert found.models["used"].tolist() == [True, False, False]


def test_data_sets_too_small_to_train_and_test_on_are_named(bench):
    bench.rows.loc[bench.number == 0, "dataset"] = "C"
    found = bench.check()
    assert found.errors == []
    note = found.one("without a row of their own: C (1)")
    assert note.level == "note"


def test_a_benchmark_that_is_in_one_part_as_a_whole(bench):
    bench.rows["group"] = bench.rows["dataset"] = "one"
    error = bench.check().one("samples, in 1 groups, are in the test split (salt 0)")
    assert error.cure == "add samples of other groups, or choose another share"
    bench.rows = bench.rows[bench.number < 12].assign(group="")
    error = bench.check(split={"train": 0.05, "salts": [3, 5]}).one("12 samples, in 12 groups, are")
    assert bench.cure(error).none("in 12 groups")
    assert bench.config["split"]["salts"] == [3, 5]


def test_samples_with_neither_question_nor_image_and_all_else_that_is_wrong(bench):
    bench.rows.loc[bench.number.isin([3, 8]), "question"] = ""
    found = bench.check(pool=["a", "zebra"])
    assert len(found.errors) == 2
    error = found.one("2 samples with neither a question nor an image: s3, s8")
    assert "remove their rows" in error.cure
    assert found.datasets["samples"].iloc[-1] == 398
    bench.rows = bench.rows[~bench.number.isin([3, 8])]
    assert bench.check().none("neither a question")


def test_a_joined_source_may_have_the_question(bench):
    bench.rows[["sample_id", "dataset", "question"]].drop_duplicates().assign(
        model="d", utility=lambda own: np.arange(len(own)) % 2, cost=np.arange(400) + 1.0
    ).to_csv(bench.folder / "other.csv", index=False)
    bench.rows["question"] = ""
    bench.source = {
        "join": [bench.source, {"kind": "table", "path": str(bench.folder / "other.csv")}]
    }
    found = bench.check()
    assert found.errors == []
    note = found.one("outcomes are joined")
    assert "1,200 pairs from table" in note.message
    assert "400 pairs from table" in note.message


def test_a_model_below_min_coverage(bench):
    bench.rows = bench.rows[~(bench.of("c") & (bench.number < 60))]
    remark = bench.check().one("left out, as below min_coverage 90%: c 85.0%")
    assert remark.cure == "min_coverage: 0.85"
    found = bench.cure(remark)
    assert found.none("min_coverage")
    assert found.models["used"].all()


def test_outcomes_without_cost(bench):
    bench.rows.loc[bench.of("b") & (bench.number < 7), "cost"] = np.nan
    assert bench.check().one("whose cost is unknown count as missing: b 7").level == "warning"


def test_simulated_data(bench):
    bench.source = {"kind": "demo", "samples": 20}
    assert bench.check().one("the data are simulated").level == "note"


def test_what_the_source_says_of_itself(bench):
    bench.rows["mood"] = bench.rows["model"]
    assert bench.check().one("are not kept as tags").level == "warning"
