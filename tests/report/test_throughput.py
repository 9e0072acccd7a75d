"""Throughput: what jobs took, told per second, with and without feature extraction."""

import math

import pandas as pd

from mmroute.report.throughput import Timing, measure, present, throughput
from mmroute.storage import write_json


def timings(folder, *seconds, samples=50):
    folder.mkdir(parents=True)
    paths = [folder / f"{index}.json" for index in range(len(seconds))]
    for path, taken in zip(paths, seconds, strict=True):
        write_json(path, {"seconds": taken, "samples": samples})
    return paths


def test_throughput_is_counted_with_and_without_feature_extraction():
    assert throughput(Timing(2.0, 100), 0.08, 50.0) == {
        "decisions_per_second": 50,
        "decisions_per_second_with_features": 10,
        "prompt_tokens_per_second": 2500,
        "prompt_tokens_per_second_with_features": 500,
    }


def test_a_router_takes_the_time_of_what_it_reads(tmp_path):
    table = measure(
        {
            # Two salts of 50 test samples in 2 seconds together.
            name: timings(tmp_path / name, 0.5, 1.5)
            for name in ("both", "text", "blind", "oracle")
        },
        # Text of 100 samples in 2 seconds, images of half of them in 6.
        {
            "text": timings(tmp_path / "t", 1.0, 1.0),
            "image": timings(tmp_path / "i", 6.0, samples=50),
        },
        {"both": ["text", "image"], "text": ["text"], "blind": [], "oracle": []},
        n_samples=100,
        prompt_tokens=math.nan,
    ).set_index("router")
    assert table["decisions_per_second"].tolist() == [50, 50, 50]
    with_features = table["decisions_per_second_with_features"].to_dict()
    assert with_features == {"both": 10, "text": 25, "blind": 50}
    assert table["prompt_tokens_per_second"].isna().all()


def test_it_is_shown_in_whole_numbers_and_a_dash_where_tokens_are_unknown():
    table = pd.DataFrame([{"router": "knn", **throughput(Timing(0.01, 100), 0.01, math.nan)}])
    assert present(table).iloc[0].tolist() == ["knn", "10,000", "99", "–", "–"]
