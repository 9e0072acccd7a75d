import numpy as np

from mmroute.sources.simulation.datasets import DATASETS, TEXT_DATASETS
from mmroute.sources.simulation.pool import POOL, cost, prompt_tokens
from mmroute.sources.simulation.samples import draw


def test_a_sample_depends_on_its_own_index_alone():
    few, many = draw(DATASETS[2], 3, 0), draw(DATASETS[2], 9, 0)
    np.testing.assert_array_equal(few.solved, many.solved[:3])
    np.testing.assert_array_equal(few.completion, many.completion[:3])
    np.testing.assert_array_equal(few.levels, many.levels[:3])
    np.testing.assert_array_equal(few.facets.steps, many.facets.steps[:3])


def test_data_sets_and_seeds_draw_apart():
    drawn = [
        draw(dataset, 20, seed).completion.tolist()
        for dataset in (*DATASETS, *TEXT_DATASETS)
        for seed in (0, 1)
    ]
    assert len({str(one) for one in drawn}) == len(drawn)


def test_outcomes_are_columns_of_the_release():
    samples = draw(TEXT_DATASETS[0], 4, 0)
    prompt = prompt_tokens(100)
    columns = samples.outcomes(2, prompt, "42", ["41", "43", "44"])
    prices = cost(prompt, samples.completion[2])
    for column, model in enumerate(POOL):
        right = samples.solved[2, column]
        assert columns[f"{model.name}_correct"] == right
        assert (columns[f"{model.name}_prediction"] == "42") == right
        assert columns[f"{model.name}_token"] == samples.completion[2, column]
        assert columns[f"{model.name}_prompt_token"] == prompt[column]
        assert columns[f"{model.name}_cost"] == prices[column]
    assert len(columns) == 5 * len(POOL)
