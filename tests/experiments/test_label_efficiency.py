"""How many labels a router needs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import interval
from mmroute.evaluation.static import ZERO
from mmroute.experiments.findings import summarise
from mmroute.experiments.label_efficiency import (
    AHEAD,
    BEST_SINGLE,
    PANELS,
    STRONGEST,
    LabelEfficiency,
    extrapolate,
)
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import split
from mmroute.routers.baselines import Strongest
from mmroute.routers.linear import Linear

B = 20
SALT = "7"


def benchmark_of(make_table, n_samples=1000, share=0.2):
    """Features of five dimensions say which of two models is right, as noisily as can be."""
    generator = np.random.default_rng(3)
    table = make_table(n_samples=n_samples, n_models=2)
    features = generator.normal(size=(n_samples, 5))
    told = features.sum(axis=1) + generator.normal(size=n_samples)
    utility = np.column_stack([told < 0, told > 0]).astype(float)
    cost = np.array([1.0, 4.0]) * generator.lognormal(0, 0.1, (n_samples, 2))
    in_train = split(table.samples["group"], share, SALT)
    own = Benchmark(replace(table, utility=utility, cost=cost), 4.0, in_train, ~in_train, SALT)
    return own, features


def run(benchmark, router=None, **options):
    own, features = benchmark
    routers = {"own": router or Linear()}
    experiment = LabelEfficiency(**options)
    return experiment.findings(own, {"own": features}, routers, "lambda", B, 0)


def value(found, fraction, metric="peak_score", minus="", router="own"):
    rows = found.query("router == @router and metric == @metric")
    rows = rows[(rows["minus"] == minus) & (rows["fraction"].fillna(-1) == fraction)]
    return rows["replicates"].item()


def test_more_labels_help_where_there_is_something_to_learn(make_table):
    found = run(benchmark_of(make_table))
    few, more, most = (value(found, share, "nauc") for share in (0.01, 0.1, 0.8))
    assert (few + 0.02 < more).all()
    assert few[0] < more[0] <= most[0]
    assert (value(found, 0.8, "nauc", STRONGEST) > 0.05).all()


def test_the_test_samples_are_the_last_fifth_whatever_the_share_and_the_split(make_table):
    own, features = benchmark_of(make_table)
    last = ~split(own.table.samples["group"], 0.8, SALT)
    found = run((own, features))
    reference = value(found, -1, router=BEST_SINGLE)
    assert reference[0] == pytest.approx(own.table.utility[last].mean(axis=0).max())
    other = run(benchmark_of(make_table, share=0.6))
    pd.testing.assert_frame_equal(found, other)


def test_no_label_of_the_last_fifth_is_learned(make_table):
    own, features = benchmark_of(make_table)
    last = ~split(own.table.samples["group"], 0.8, SALT)
    learned = []

    class Spy(Linear):
        def fit(self, Z, U, C):
            learned.append(Z)
            return super().fit(Z, U, C)

    run((own, features), Spy(), fractions=(0.2, 0.8))
    assert [len(Z) for Z in learned] == [own.in_train.sum(), (~last).sum()]
    assert not {*learned[1][:, 0]} & {*features[last, 0]}
    assert {*learned[0][:, 0]} <= {*learned[1][:, 0]}


def test_differences_are_paired(make_table):
    found = run(benchmark_of(make_table))
    for metric in PANELS:
        own = value(found, 0.1, metric)
        for minus, other in (
            (BEST_SINGLE, value(found, -1, metric, router=BEST_SINGLE)),
            (ZERO, value(found, 0.1, metric, router=ZERO)),
            (STRONGEST, value(found, 0.1, metric, router=STRONGEST)),
        ):
            np.testing.assert_allclose(value(found, 0.1, metric, minus), own - other)


def test_static_mixtures_are_chosen_on_the_labels_of_the_share(make_table):
    own, features = benchmark_of(make_table)
    early = split(own.table.samples["group"], 0.1, SALT)
    last = ~split(own.table.samples["group"], 0.8, SALT)
    # The first tenth has it that the dear model is never right, and all the others that it is.
    utility = np.where(early[:, None], [0.6, 0.0], [0.6, 0.9])
    cost = np.tile([1.0, 4.0], (1000, 1))
    turned = replace(own, table=replace(own.table, utility=utility, cost=cost))
    found = run((turned, features), fractions=(0.05, 0.1, 0.8))
    assert last.any()
    for fraction, area, peak in ((0.05, 0.6, 0.6), (0.1, 0.6, 0.6), (0.8, 0.75, 0.9)):
        np.testing.assert_allclose(value(found, fraction, "nauc", router=ZERO), area)
        np.testing.assert_allclose(value(found, fraction, router=ZERO), peak)


def test_the_strongest_model_less_itself_is_nothing(make_table):
    found = run(benchmark_of(make_table), Strongest())
    for fraction in LabelEfficiency().fractions:
        np.testing.assert_array_equal(value(found, fraction, minus=STRONGEST), 0)
    assert found.query("router == @STRONGEST and minus == @STRONGEST").empty


def test_a_share_of_too_few_labels_is_noted_and_left_out(make_table):
    own, features = benchmark_of(make_table, n_samples=100)
    found = run((own, features), fractions=(0.01, 0.8))
    count = split(own.table.samples["group"], 0.01, SALT).sum()
    assert count < 5
    assert value(found, 0.01, "labels", router="")[0] == count
    assert found.query("fraction == 0.01")["metric"].tolist() == ["labels"]
    shown = LabelEfficiency().present(summarise([found]))
    assert shown["Router"].tolist() == ["(too few labels)", STRONGEST, "own"]
    assert shown["nAUC"][0] == "–"


def test_a_share_without_any_outcome_of_a_model_is_left_out(make_table):
    own, features = benchmark_of(make_table)
    early = split(own.table.samples["group"], 0.1, SALT)
    utility, cost = own.table.utility.copy(), own.table.cost.copy()
    utility[early, 0] = cost[early, 0] = np.nan
    sparse = replace(own, table=replace(own.table, utility=utility, cost=cost))
    found = run((sparse, features))
    assert found.query("router == 'own'")["fraction"].unique().tolist() == [0.2, 0.5, 0.8]
    assert np.isfinite(np.stack(found["replicates"])).all()


def test_samples_in_neither_split_stay_out(make_table):
    own, features = benchmark_of(make_table)
    smaller = replace(own, in_train=np.zeros(1000, bool))
    found = run((smaller, features), fractions=(0.8,))
    expected = own.in_test & split(own.table.samples["group"], 0.8, SALT)
    assert value(found, 0.8, "labels", router="")[0] == expected.sum()


def test_without_a_sample_in_the_last_fifth_there_is_no_test(make_table):
    own, features = benchmark_of(make_table)
    first = split(own.table.samples["group"], 0.8, SALT)
    with pytest.raises(InputError, match="last fifth"):
        run((replace(own, in_test=own.in_test & first, in_train=own.in_train & first), features))


def test_the_table_has_a_row_per_share_and_router(make_table, tmp_path):
    found = run(benchmark_of(make_table))
    table = summarise([found])
    shown = LabelEfficiency().present(table)
    assert shown["Labels"].tolist()[::2] == [
        *["1%", "2%", "5%", "10%", "20%", "50%", "80%"],
        "2 x 80%, extrapolated",
    ]
    last = shown.iloc[-1]
    assert (last["Router"], last["Labels"]) == ("own", "4 x 80%, extrapolated")
    assert last["Peak score, minus best static mixture"] == "–"
    for metric, (_, row) in zip(AHEAD, shown.iloc[-2:].iterrows(), strict=True):
        for minus, title in (("", "nAUC"), (ZERO, "nAUC, minus best static mixture")):
            assert row[title].startswith(f"{value(found, 0.8, metric, minus)[0]:.3f} [")
    last = shown[shown["Labels"] == "80%"].iloc[-1]
    assert last["Peak score, minus strongest"].startswith(
        f"{value(found, 0.8, minus=STRONGEST)[0]:.3f} ["
    )
    table.to_csv(tmp_path / "labels.csv", index=False)
    pd.testing.assert_frame_equal(
        LabelEfficiency().present(pd.read_csv(tmp_path / "labels.csv")), shown
    )


COUNTS = np.array([10, 20, 50, 100, 200, 500, 800])
WANTED = 800 * np.array([*AHEAD.values()])


def curve(labels, a=0.8, b=1.5, power=0.5):
    return a - b / labels**power


def test_a_curve_without_noise_is_continued_exactly():
    levels = np.linspace(0.6, 0.9, 1 + B)
    for counts in (COUNTS, COUNTS[[1, 3, 6]]):
        found = extrapolate(counts, curve(counts[:, None], levels), WANTED, 0)
        np.testing.assert_allclose(found, curve(WANTED[:, None], levels))


@pytest.mark.parametrize(
    ("counts", "law", "least"),
    [
        (COUNTS, {}, 0.92),
        (COUNTS[[1, 3, 6]], {}, 0.92),
        # Slower than the curve has it: predicted too low.
        (COUNTS, {"b": 0.5, "power": 0.2}, 0.78),
    ],
    ids=["seven", "three", "slower"],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(counts, law, least):
    """Trainings scatter about the curve by themselves, and the test queries move all of it."""
    generator = np.random.default_rng(5)
    held, trials = np.zeros(2), 400
    for _ in range(trials):
        of_training = generator.normal(0, 0.01, len(counts))
        moved = generator.normal(0, 0.01)
        measured = curve(counts, **law) + of_training + moved
        resamples = measured[:, None] + generator.normal(0, 0.01, 200)
        found = extrapolate(counts, np.column_stack([measured, resamples]), WANTED, 0)
        truth = curve(WANTED, **law) + generator.normal(0, 0.01, 2)
        bounds = np.array([interval(replicates) for replicates in found]).T
        held += (bounds[0] <= truth) & (truth <= bounds[1])
    assert (held / trials > least).all()
    assert (held / trials < 0.99).all()


def test_a_curve_that_is_none_of_these_has_a_wider_interval():
    resamples = np.random.default_rng(5).normal(0, 0.01, 500)
    widths = []
    for bend in (0.0, 0.1):
        measured = curve(COUNTS) + bend * np.sin(np.log(COUNTS))
        replicates = measured[:, None] + np.append(0, resamples)
        low, high = np.array(
            [interval(own) for own in extrapolate(COUNTS, replicates, WANTED, 0)]
        ).T
        widths.append(high - low)
    np.testing.assert_allclose(widths[0], 2 * 1.96 * 0.01, rtol=0.15)
    assert (widths[1] > 3 * widths[0]).all()


def test_what_more_labels_bring_over_static_mixtures_agrees_with_the_curves(make_table):
    found = run(benchmark_of(make_table))
    assert set(found[found["metric"].isin(AHEAD)]["router"]) == {"own"}
    counts = found[found["metric"] == "labels"]
    static = found[(found["router"] == ZERO) & (found["metric"] == "nauc")]
    assert static["fraction"].tolist() == counts["fraction"].tolist()
    labels, area = (np.stack(own["replicates"])[:, 0] for own in (counts, static))
    for metric, times in AHEAD.items():
        fitted = np.polynomial.Polynomial.fit(labels**-0.5, area, 1)
        expected = value(found, 0.8, metric)[0] - fitted((times * labels.max()) ** -0.5)
        assert value(found, 0.8, metric, ZERO)[0] == pytest.approx(expected)


def test_of_two_numbers_of_labels_nothing_is_extrapolated(make_table):
    found = run(benchmark_of(make_table), fractions=(0.2, 0.2, 0.8))
    assert not set(found["metric"]) & {*AHEAD}
    found = run(benchmark_of(make_table), fractions=(0.8, 0.2, 0.5))
    ahead = found[found["metric"].isin(AHEAD)]
    assert set(ahead["fraction"]) == {0.8}
    assert len(ahead) == 2 * len(AHEAD)
