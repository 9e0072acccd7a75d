"""The simulated data sets: what they ask, and the figures they are calibrated to.

Seven have images; three are text only, to try what a router has learned on the others.
"""

from collections.abc import Mapping
from typing import NamedTuple


class DataSet(NamedTuple):
    """One simulated data set.

    Attributes
    ----------
    prefix
        As in ``dataset_idx`` of the MMR-Bench release.
    folder
        Image folder of the release; empty for a data set without images.
    paper_size
        Samples in the real data set (MMR Table S1); 0 where the paper does not say.
    best, mean, oracle
        Accuracy of the best single model, of a random choice and of the oracle
        (``p_s`` in MMR Table 2). Of the text-only data sets the paper gives the
        first alone (Table 5); the others are invented.
    ability
        Weights of reading, knowledge and reasoning in a model's rank; invented.
    choice_share
        Share of multiple-choice questions; invented.
    picture_only_share
        Share of samples whose question is printed in the image, the text being
        empty; invented.
    tasks
        Task of ``simulation.questions``, or of ``simulation.text_questions`` for a
        data set without images -> its share; invented.
    """

    prefix: str
    folder: str
    paper_size: int
    best: float
    mean: float
    oracle: float
    ability: tuple[float, float, float]
    choice_share: float
    picture_only_share: float
    tasks: Mapping[str, float]

    @property
    def pictured(self) -> bool:
        """Whether its samples have an image."""
        return bool(self.folder)


DATASETS = (
    DataSet(
        prefix="OCRBench",
        folder="OCRBench",
        paper_size=1000,
        best=0.9050,
        mean=0.8075,
        oracle=0.9825,
        ability=(0.90, 0.10, 0.0),
        choice_share=0.0,
        picture_only_share=0.0,
        tasks={
            "sign": 0.30,
            "page_heading": 0.15,
            "page_word_count": 0.15,
            "receipt_shop": 0.10,
            "receipt_price": 0.20,
            "receipt_dearest": 0.10,
        },
    ),
    DataSet(
        prefix="SEEDBench2_Plus",
        folder="SEEDBenchv2Plus",
        paper_size=2277,
        best=0.7502,
        mean=0.7102,
        oracle=0.8913,
        ability=(0.85, 0.05, 0.10),
        choice_share=1.0,
        picture_only_share=0.0,
        tasks={
            "chart_title": 0.12,
            "chart_largest": 0.13,
            "chart_known": 0.20,
            "chart_total": 0.10,
            "map_places": 0.15,
            "map_roads": 0.15,
            "receipt_total": 0.15,
        },
    ),
    DataSet(
        prefix="MMStar",
        folder="MMStar",
        paper_size=1500,
        best=0.7716,
        mean=0.6942,
        oracle=0.9650,
        ability=(0.20, 0.65, 0.15),
        choice_share=1.0,
        picture_only_share=0.0,
        tasks={
            "chart_known": 0.40,
            "scene_daytime": 0.10,
            "scene_colour": 0.20,
            "polygon_perimeter": 0.15,
            "grid_shaded": 0.15,
        },
    ),
    DataSet(
        prefix="RealWorldQA",
        folder="RealWorldQA",
        paper_size=765,
        best=0.8235,
        mean=0.7108,
        oracle=0.9853,
        ability=(0.60, 0.30, 0.10),
        choice_share=1.0,
        picture_only_share=0.0,
        tasks={
            "scene_daytime": 0.20,
            "scene_colour": 0.35,
            "scene_count": 0.30,
            "sign": 0.15,
        },
    ),
    DataSet(
        prefix="MathVista",
        folder="MathVista",
        paper_size=1000,
        best=0.8037,
        mean=0.6688,
        oracle=0.9475,
        ability=(0.35, 0.15, 0.50),
        choice_share=0.5,
        picture_only_share=0.0,
        tasks={
            "chart_value": 0.25,
            "chart_total": 0.15,
            "plot_value": 0.20,
            "polygon_side": 0.20,
            "receipt_total": 0.10,
            "scene_count": 0.10,
        },
    ),
    DataSet(
        prefix="MathVerse",
        folder="MathVerse",
        paper_size=788,
        best=0.7194,
        mean=0.4800,
        oracle=0.8954,
        ability=(0.20, 0.10, 0.70),
        choice_share=0.5,
        picture_only_share=0.15,
        tasks={
            "polygon_side": 0.40,
            "polygon_perimeter": 0.35,
            "plot_value": 0.25,
        },
    ),
    DataSet(
        prefix="MathVision",
        folder="MathVision",
        paper_size=3040,
        best=0.6932,
        mean=0.3927,
        oracle=0.8741,
        ability=(0.10, 0.10, 0.80),
        choice_share=0.3,
        picture_only_share=0.03,
        tasks={
            "grid_shaded": 0.40,
            "polygon_perimeter": 0.30,
            "plot_above": 0.30,
        },
    ),
)

# Table 5 says "ARC" alone; the questions here are of the kind of the AI2 Reasoning Challenge.
TEXT_DATASETS = (
    DataSet(
        prefix="GSM8K",
        folder="",
        paper_size=0,
        best=0.945,
        mean=0.86,
        oracle=0.99,
        ability=(0.0, 0.10, 0.90),
        choice_share=0.0,
        picture_only_share=0.0,
        tasks={"goods_story": 0.40, "money_story": 0.35, "journey_story": 0.25},
    ),
    DataSet(
        prefix="MMLU",
        folder="",
        paper_size=0,
        best=0.912,
        mean=0.81,
        oracle=0.985,
        ability=(0.0, 0.85, 0.15),
        choice_share=1.0,
        picture_only_share=0.0,
        tasks={
            "capital": 0.20,
            "element": 0.15,
            "author": 0.20,
            "year": 0.25,
            "physical_law": 0.20,
        },
    ),
    DataSet(
        prefix="ARC",
        folder="",
        paper_size=0,
        best=0.657,
        mean=0.52,
        oracle=0.85,
        ability=(0.0, 0.50, 0.50),
        choice_share=1.0,
        picture_only_share=0.0,
        tasks={
            "animal_class": 0.20,
            "unit_quantity": 0.20,
            "element": 0.15,
            "physical_law": 0.45,
        },
    ),
)
