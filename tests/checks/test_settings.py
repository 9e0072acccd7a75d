"""What a config asks for and the data do not give."""


def test_a_model_without_outcome_in_training(bench):
    trained = bench.trained
    bench.rows = bench.rows[~(bench.of("b") & trained[bench.number])]
    error = bench.check(min_coverage=0.5).one("no outcome in the training split (salt 0): b")
    assert bench.cure(error).errors == []


def test_a_model_without_outcome_in_the_test_split_is_odd(bench):
    trained = bench.trained
    bench.rows = bench.rows[~(bench.of("b") & ~trained[bench.number])]
    found = bench.check(min_coverage=0.1)
    assert found.one("no outcome in the test split (salt 0): b").level == "warning"


def test_an_unknown_model_in_what_if_prices(bench):
    asked = {"what_if_prices": {"A": 0.5, "b": 2}}
    error = bench.check(decision=asked).one("no model A (there is a) in the pool")
    assert error.cure == "decision: {..., what_if_prices: {b: 2.0}}"


def test_an_unknown_model_that_takes_no_images(bench):
    warning = bench.check(decision={"blind": ["A", "b"]}).one("no model A (there is a) in the pool")
    assert (warning.level, warning.cure) == ("warning", "decision: {..., blind: [b]}")


def test_a_checkpoint_that_is_not_there(bench):
    encoder = {"open_clip": {"model": "ViT-B-32", "pretrained": "no/such.pt"}}
    error = bench.check(encoders={"text": encoder}).one("no/such.pt")
    assert error.cure.endswith("encoders: {..., text: builtin}")


def test_few_test_samples(bench):
    bench.rows = bench.rows[bench.number < 120]
    remark = bench.check(split={"train": 0.5}).one("intervals will be wide")
    assert bench.cure(remark).none("intervals")
    bench.rows = bench.rows[bench.number < 50]
    assert bench.check().one("intervals will be wide").cure == "add samples"


def in_text_only(bench, **names):
    path = bench.folder / "text.csv"
    rows = bench.rows.assign(
        model=bench.rows["model"].replace(names),
        dataset="T",
        sample_id="t" + bench.rows["sample_id"],
    )
    rows.to_csv(path, index=False)
    return {"kind": "table", "path": str(path)}


def test_transfer_without_a_common_model(bench):
    source = in_text_only(bench, a="x", b="y", c="z")
    found = bench.check(text_only=source, experiments={"main": {}, "transfer": {}})
    assert bench.cure(found.one("no model of the benchmark (a, b, c)")).errors == []


def test_transfer_leaves_models_out(bench):
    source = in_text_only(bench, a="x")
    found = bench.check(text_only=source, experiments={"main": {}, "transfer": {}})
    assert found.errors == []
    assert found.one("transfer: a is left out").level == "note"


def test_a_text_only_source_that_cannot_be_read_stops_transfer(bench):
    path = bench.folder / "text.csv"
    path.write_text("sample_id,model,utility,cost\nx,a,7,1\n")
    text_only = {"kind": "table", "path": str(path)}
    assert (
        "text.csv"
        in bench.check(text_only=text_only, experiments={"main": {}, "transfer": {}})
        .errors[0]
        .message
    )
    assert bench.check(text_only=text_only, experiments={"main": {}}).errors == []
    path.unlink()
    assert len(bench.check(text_only=text_only, experiments={"main": {}}).errors) == 1


def test_shift_needs_a_scenario_with_two_data_sets(bench):
    assert bench.check(experiments={"main": {}, "shift": {}}).none("shift")
    bench.rows["scenario"] = bench.rows["dataset"]
    remark = bench.check().one("shift: No scenario has two data sets")
    assert remark.level == "warning"
    assert bench.cure(remark).none("shift")


def test_modality_needs_images(bench):
    remark = bench.check(experiments={"main": {}, "modality": {}}).one(
        "modality: no sample has an image"
    )
    assert remark.cure == "experiments: {main: {}}"
    bench.draw(range(9))
    assert bench.check(experiments={"main": {}, "modality": {}}).none("modality:")


def test_a_pool_of_one(bench):
    assert bench.check(pool=["a"]).one("nothing to choose").cure == "pool: null"


def test_a_vote_needs_answers(bench):
    note = bench.check(experiments={"main": {}, "uncertainty": {}}).one("the vote is left out")
    assert note.level == "note"


def theirs(bench, **columns):
    """Write choices for all samples, and return the row of routers that has them."""
    rows = bench.rows.drop_duplicates("sample_id")[["sample_id"]].assign(model="a", **columns)
    path = bench.folder / "theirs.csv"
    rows.to_csv(path, index=False)
    return path, {"routers": {"knn": {}, "theirs": {"choices": str(path)}}, "studied": ["knn"]}


def test_what_a_router_from_elsewhere_chose(bench):
    path, config = theirs(bench)
    found = bench.check(**config)
    assert found.errors == []
    note = found.one("theirs: choices for")
    trained = int(bench.trained.sum())
    assert note.message == (
        f"theirs: choices for {400 - trained} of {400 - trained} test samples and {trained} of "
        f"{trained} training samples (salt 0), at 1 operating point"
    )
    assert found.one("it may have seen these samples").level == "note"
    tested = bench.number.drop_duplicates()[~bench.trained].tolist()
    path.write_text("".join(["sample_id,model\n", *(f"s{number},a\n" for number in tested)]))
    assert f" and 0 of {trained} training samples" in bench.check().one("theirs: choices").message


def test_choices_that_would_stop_a_run(bench):
    path, config = theirs(bench)
    whole = path.read_text()
    path.write_text(whole + "new,a\n")
    assert bench.check(**config).one("1 samples are not in the benchmark").level == "warning"
    path.write_text(whole.replace("s7,a", "s7,gpt"))
    error = bench.check(split={"salts": [0, 1]}).errors[0]
    assert (
        "theirs.csv: column 'model' of 's7' holds 'gpt', which is not in the pool" in error.message
    )
    assert error.cure.startswith("correct it, or add the model to the source")
    path.write_text("sample_id,model\ns7,a\n")
    assert bench.check(split={"salts": [0]}).one("no choice for").cure == "add rows for them"
    path.unlink()
    assert "theirs.csv" in bench.check().errors[0].message


def test_choices_of_models_without_outcome_are_counted(bench):
    bench.rows = bench.rows[~(bench.of("a") & bench.number.isin([3, 9]))]
    _, config = theirs(bench)
    remark = bench.check(**config).one("2 of 400 choices are of a model without an outcome")
    assert remark.level == "warning"


def test_latencies_are_shown_and_models_that_are_too_slow_named(bench):
    seconds = bench.rows["model"].map({"a": "1", "b": "4", "c": ""})
    bench.rows["latency_s"] = seconds
    found = bench.check()
    assert found.models["latency_s"].fillna(-1).tolist() == [1, 4, -1]
    assert "USD/1M out  s/call  costs from" in found.text()
    assert not [one for one in found.remarks if "max_latency" in one.message]
    (left_out,) = (
        one
        for one in bench.check(decision={"max_latency": 2}).remarks
        if "max_latency" in one.message
    )
    assert left_out.level == "note"
    assert left_out.message == (
        "decision.max_latency: not surely within 2 s on average, and left out of the decision: "
        "b (4 s), c (no latency known)"
    )
    none = bench.check(decision={"max_latency": 0.5, "labels": "train"}).remarks
    (none,) = (one for one in none if "max_latency" in one.message)
    assert none.level == "warning"
    assert "is any model, and the fastest is taken: a (1 s), b (4 s), c" in none.message


def test_a_limit_in_seconds_without_latencies_is_an_error_with_a_cure(bench):
    found = bench.check(decision={"max_latency": 2})
    (error,) = found.errors
    assert "decision.max_latency: no outcome of the pool has a latency" in error.message
    assert error.cure.endswith("decision: {..., max_latency: null}")
    assert "s/call" not in found.text()
