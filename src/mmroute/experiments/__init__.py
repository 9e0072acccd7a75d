"""Experiments beyond the main table: one module each, named as in definitions, section 7.

A module offers ``findings``, a function from outcomes, features and predictions to a
frame of findings, and ``present``, which lays the summarised table out for people. This
list names them all and imports none of them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes
    ----------
    output
        Name of its table and figure: the paper's number where there is one.
    title, question
        What the report says above its results.
    figure
        Whether it has a figure.
    """

    output: str
    title: str
    question: str
    figure: bool = False


EXPERIMENTS = {
    "modality": Experiment(
        "fig2",
        "Text, image or both",
        "What do features of the text, of the image, and of both together tell a router? The "
        "number of clusters and lambda are swept on the test split, as published (MMR-Bench, "
        "Figure 2).",
        figure=True,
    ),
    "fusion": Experiment(
        "table3",
        "Adaptive fusion against the mean",
        "Each router trained on adaptively fused features and on the mean of both embeddings; "
        "differences are adaptive less mean, over the same resamples (MMR-Bench, Table 3).",
    ),
    "shift": Experiment(
        "table4",
        "Another data set of the scenario",
        "Trained on data set A and tested on B of the same scenario, beside the best single model "
        "on B and a router trained on B itself (MMR-Bench, Table 4).",
    ),
    "transfer": Experiment(
        "table5",
        "Text-only benchmarks",
        "Trained on samples with images, tested on text alone with the image masked (MMR-Bench, "
        "Table 5).",
    ),
    "pool": Experiment(
        "pool",
        "When the pool changes",
        "What happens when a model leaves, when one arrives with few labelled queries, and when "
        "the pool grows from cheap to dear?",
        figure=True,
    ),
    "difficulty": Experiment(
        "difficulty",
        "Where hard queries go",
        "Shares of easy and of hard queries that go to cheap, middle and dear models, at an "
        "operating point that was chosen in training.",
        figure=True,
    ),
    "label_efficiency": Experiment(
        "label_efficiency",
        "How many labels a router needs",
        "Trained on growing shares of all labels, tested on the same last fifth of the samples.",
        figure=True,
    ),
    "uncertainty": Experiment(
        "uncertainty",
        "When the router is unsure",
        "Queries whose chosen model has the least predicted utility are handed on: to the "
        "strongest model, to a vote, or to a person.",
        figure=True,
    ),
    "cases": Experiment(
        "figS2",
        "Cases",
        "Queries of the test split on which routing pays most. A saving: a cheaper model was right "
        "as well as the strongest. A rescue: the strongest was wrong, the chosen one right.",
        figure=True,
    ),
    "vl": Experiment(
        "vl_main",
        "VL-RouterBench's protocol",
        "Each router at one operating point per lambda of its grid. The point was chosen in "
        "training; beside it the one that looks best on the test split, as published.",
        figure=True,
    ),
}
"""Name in the config to what it makes; ``main`` is the workflow's trunk."""
