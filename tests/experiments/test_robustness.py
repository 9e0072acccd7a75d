"""Whether routers choose alike when questions are perturbed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mmroute.encoders.builtin import Builtin
from mmroute.experiments.difficulty import training_points
from mmroute.experiments.findings import summarise
from mmroute.experiments.robustness import COLOURS, UNPERTURBED, Robustness
from mmroute.features.embeddings import embed
from mmroute.features.perturbation import KINDS, perturb
from mmroute.predictions import Predictions
from mmroute.presentation.figures import save
from mmroute.routers.knn import KNN
from mmroute.training import predict, train

QUESTIONS = ["What is 1?", "What is 2?", "What is 3?", "What is 4?", ""]


def choosing(models, table, trials=1):
    """Predict that these models are right, at equal cost, so that every point chooses them."""
    u_hat = np.eye(2)[np.asarray(models)]
    shape = (trials, *u_hat.shape)
    ids = table.samples["sample_id"]
    return Predictions(ids, np.broadcast_to(u_hat, shape), np.ones(shape))


@pytest.fixture
def setting(make_table, make_setting):
    """Return five samples, the last without a question, and five more to train on."""
    both = make_table(
        n_samples=10,
        n_models=2,
        utility=np.array([[1, 1], [1, 0], [0, 1], [0, 1], [1, 0]] * 2, float),
        cost=np.array([[1.0, 3.0]] * 10),
    )
    both.samples["question"] = QUESTIONS * 2
    return make_setting(both.take(np.arange(5)), both.take(np.arange(5, 10)), 2.0, n_resamples=50)


def found(setting, before, after):
    own = choosing(before, setting.table)
    return Robustness().findings(
        setting,
        {"own": own},
        {"own": choosing(before, setting.training)},
        {kind: {"own": choosing(after, setting.table)} for kind in KINDS},
    )


def value(frame, metric, kind, minus="", point="peak"):
    kept = frame[(frame["metric"] == metric) & (frame["kind"] == kind) & (frame["minus"] == minus)]
    kept = kept[kept["point"] == point]
    return kept["replicates"].item()[0]


def test_choices_accuracy_and_cost_are_compared_on_the_questions_that_changed(setting):
    frame = found(setting, [0, 0, 1, 1, 0], [0, 1, 1, 1, 1])
    assert value(frame, "perturbed", "paraphrase", point="") == 4 / 5
    # The second of four chooses otherwise; the fifth, which has no question, does not count.
    assert value(frame, "same_choice", "paraphrase") == 3 / 4
    assert value(frame, "accuracy", "paraphrase") == 3 / 4
    assert value(frame, "accuracy", "paraphrase", UNPERTURBED) == -1 / 4
    assert value(frame, "cost", "paraphrase") == (1 + 3 + 3 + 3) / 4 / 2
    assert value(frame, "cost", "paraphrase", UNPERTURBED) == 1 / 4
    assert value(frame, "cost_usd", "paraphrase", UNPERTURBED) == 1 / 2


def test_what_a_perturbation_leaves_as_it_is_has_no_value(setting):
    frame = found(setting, [0, 0, 1, 1, 0], [0, 1, 1, 1, 1])
    assert value(frame, "perturbed", "typing", point="") == 0
    assert np.isnan(value(frame, "same_choice", "typing"))


def test_equal_predictions_are_equal_choices_without_a_change(setting):
    frame = found(setting, [0, 0, 1, 1, 0], [0, 0, 1, 1, 0])
    same = np.stack(frame.query("metric == 'same_choice' and kind == 'case'")["replicates"])
    assert (same == 1).all()
    changes = np.stack(frame.query("minus != '' and kind == 'case'")["replicates"])
    assert (changes == 0).all()


def test_a_decisions_own_cost_counts(setting):
    before = choosing([0, 0, 1, 1, 0], setting.table)
    after = replace(before, overhead=np.full(5, 0.5))
    frame = Robustness().findings(
        setting,
        {"own": before},
        {"own": choosing([0, 0, 1, 1, 0], setting.training)},
        {kind: {"own": after} for kind in KINDS},
    )
    assert value(frame, "cost", "case", UNPERTURBED) == 0.5


def test_on_the_demos_encoder_it_is_what_choosing_by_hand_gives(make_table, make_setting):
    both = make_table(n_samples=60, n_models=3)
    words = np.random.default_rng(1).choice(
        ["Triangle", "Picture", "colour", "Chart", "largest", "smaller", "angle"], (60, 5)
    )
    both.samples["question"] = [f"Which {' '.join(own)} is it?" for own in words]
    both.samples["group"] = both.samples["sample_id"]
    setting = make_setting(both.take(np.arange(40)), both.take(np.arange(40, 60)), 1.0)

    def features(questions):
        samples = setting.benchmark.table.samples.assign(question=questions)
        return embed(Builtin(), "text", samples, None, 1).vectors

    benchmark = setting.benchmark
    samples = benchmark.table.samples
    asked = features(samples["question"])
    otherwise = {
        kind: features(perturb(samples["question"], samples["sample_id"], kind, 0))
        for kind in KINDS
    }
    router = KNN(n_neighbors=3)
    train(router, benchmark, asked)
    test, training = benchmark.in_test, benchmark.in_train
    ids = setting.table.samples["sample_id"]
    own = predict(router, ids, asked[test])
    crossfit = predict(router, setting.training.samples["sample_id"], asked[training])
    perturbed = {
        kind: {"knn": predict(router, ids, rows[test])} for kind, rows in otherwise.items()
    }
    frame = Robustness().findings(setting, {"knn": own}, {"knn": crossfit}, perturbed)
    shares = set()
    for point, threshold in training_points(setting, crossfit, own).items():
        for kind in KINDS:
            equal = []
            for row, (before, after) in enumerate(
                zip(samples["question"][test], np.flatnonzero(test), strict=True)
            ):
                (changed,) = perturb([before], [samples["sample_id"][after]], kind, 0)
                if changed == before:
                    continue
                chosen = [
                    min(
                        range(3),
                        key=lambda model, told=told, row=row: (
                            1 - told.u_hat[0, row, model] + threshold * told.c_hat[0, row, model],
                            told.c_hat[0, row, model],
                        ),
                    )
                    for told in (own, perturbed[kind]["knn"])
                ]
                equal.append(chosen[0] == chosen[1])
            share = value(frame, "same_choice", kind, point=point)
            assert share == pytest.approx(np.mean(equal))
            shares.add(share)
    assert len(shares) > 1


@pytest.fixture
def table(setting):
    frames = [found(setting, [0, 0, 1, 1, 0], [0, 1, 1, 1, 1])]
    return summarise(frames)


def test_people_see_equal_choices_and_what_changes(table):
    shown = Robustness().present(table)
    paraphrased = shown[shown["Perturbation"] == "paraphrase"].iloc[0]
    assert paraphrased["Router"] == "own"
    assert paraphrased["Questions changed"] == "80.0%"
    assert paraphrased["Equal choices"].startswith("0.750 [")
    assert paraphrased["Accuracy, change"].startswith("-0.250 [")
    assert paraphrased["USD per 1,000 queries, change"].startswith("500")


def test_the_figure_has_a_panel_a_point_and_a_colour_a_kind(table, tmp_path):
    draw = Robustness().draw
    figure = draw(table, "title")
    shown = [axes.get_title() for axes in figure.axes if axes.axison]
    assert shown == [point.replace("_", " ") for point in table["point"].dropna().unique() if point]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(COLOURS)
    for run in ("one", "two"):
        save(draw(table, "A$_{\\frac{$<b>&"), [tmp_path / f"{run}.svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    empty = draw(table[:0], "title")
    assert not [axes for axes in empty.axes if axes.axison and axes.get_title()]
    plt.close("all")


def test_a_table_read_again_is_laid_out_alike(table, tmp_path):
    table.to_csv(tmp_path / "table.csv", index=False)
    again = pd.read_csv(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(Robustness().present(again), Robustness().present(table))
