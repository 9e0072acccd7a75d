"""Whether traffic is still what a router was trained and measured on.

An exported folder keeps a compact description of its labels, ``seen.safetensors``: of a sample of
them projected features and the form of the query, numbers only, and how far off predictions and
costs were where nothing was trained on them. Traffic is held against it by

- a classifier that is to tell the two apart (Lopez-Paz and Oquab 2017): a logistic regression,
  trained on one half of both; on the other its AUC is tested, which is Mann and Whitney's test;
- the mean error of the predicted utility where outcomes of the router's choices are known;
- what these choices have cost over what was foreseen.

Together they raise a false alarm in at most 5 % of looks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr
from scipy.stats import mannwhitneyu
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmroute.decision.card import SEEN
from mmroute.errors import InputError, printable
from mmroute.evaluation.inference import CONFIDENCE, SIGNIFICANCE
from mmroute.evaluation.off_policy import ROUNDING, by_group
from mmroute.images import MOST_IMAGES, counts
from mmroute.persistence import read

MOST_SEEN, MOST_DIMENSIONS = 2000, 32
MOST_COMPARED = 1000
"""Queries of either kind that are told apart."""
FEWEST = 50
"""Queries below which nothing is said."""
FORM = ("longer texts", "text", "images")
_LARGEST_FORM = (50, 1, MOST_IMAGES)


def form_of(samples: pd.DataFrame) -> np.ndarray:
    """(N, 3) the form of N queries: log of the text's length, whether there is any, images.

    Parameters
    ----------
    samples
        ``question``, and ``image`` as an outcome table has it.
    """
    length = samples["question"].str.len().to_numpy(float)
    return np.stack([np.log1p(length), length > 0, counts(samples["image"])], axis=1).astype(float)


@dataclass(frozen=True)
class Calibration:
    """How far off predictions were for the chosen models of n queries.

    Attributes
    ----------
    n_queries
        n; 0 where nothing is known.
    error, variance
        Mean of utility less its prediction, and its variance times n.
    ratio, ratio_variance
        What was paid over what was foreseen, and its variance times n.
    """

    n_queries: int = 0
    error: float = 0.0
    variance: float = 0.0
    ratio: float = 1.0
    ratio_variance: float = 0.0

    @classmethod
    def of(
        cls,
        utility: np.ndarray,
        u_hat: np.ndarray,
        paid: np.ndarray,
        foreseen: np.ndarray,
        group: np.ndarray | None = None,
    ) -> "Calibration":
        """Sum up n queries, (n,) each; those with an unknown number are left out.

        Variances are those of groups, see ``off_policy.by_group``.
        """
        known = np.isfinite(utility + u_hat + paid + foreseen)
        utility, u_hat, paid, foreseen = (own[known] for own in (utility, u_hat, paid, foreseen))
        group = None if group is None else group[known]
        if len(by_group(utility, group)) < FEWEST or foreseen.mean() <= 0:
            return cls()
        error, ratio = utility - u_hat, float(paid.mean() / foreseen.mean())
        variances = (
            float((by_group(apart - apart.mean(), group) ** 2).sum()) / len(apart)
            for apart in (error, (paid - ratio * foreseen) / foreseen.mean())
        )
        variance, ratio_variance = variances
        return cls(len(error), float(error.mean()), variance, ratio, ratio_variance)

    def differs(self, other: "Calibration") -> tuple[float, float]:
        """The two-sided p-values of errors and of ratios being those of another one."""
        told = (
            (self.error - other.error, self.variance, other.variance),
            (self.ratio - other.ratio, self.ratio_variance, other.ratio_variance),
        )
        p = []
        for apart, own, its in told:
            error = np.sqrt(own / self.n_queries + its / other.n_queries)
            is_known = error > ROUNDING
            p.append(float(2 * ndtr(-abs(apart) / error) if is_known else abs(apart) <= ROUNDING))
        return p[0], p[1]


@dataclass(frozen=True)
class Seen:
    """What a router was trained on.

    Attributes
    ----------
    datasets
        Names.
    dataset
        (m,) the data set of each sample, by its place among the names.
    vectors
        (m, d + 3) projected features beside the form, see ``form_of``.
    centre, basis
        (D,) and (D, d) of the projection; D is 0 where the router goes by no embeddings.
    calibration
        On cross-fitted predictions of the labels.
    """

    datasets: list[str]
    dataset: np.ndarray
    vectors: np.ndarray
    centre: np.ndarray
    basis: np.ndarray
    calibration: Calibration = field(default_factory=Calibration)

    @classmethod
    def of(cls, features: np.ndarray, samples: pd.DataFrame, calibration: Calibration) -> "Seen":
        """Describe half of 2 m training samples, by their (2 m, D) features.

        The others choose the directions: along these they spread more than any that come later.
        """
        rows = np.random.default_rng(0).permutation(len(samples))
        learned, kept = np.array_split(rows, 2)
        others, features = features[learned].astype(float), features[kept].astype(float)
        samples = samples.iloc[kept]
        centre = others.mean(axis=0) if others.shape[1] else np.zeros(0)
        _, _, directions = np.linalg.svd(others - centre, full_matrices=False)
        basis = directions[: min(MOST_DIMENSIONS, len(others) // 10)].T
        vectors = np.hstack([(features - centre) @ basis, form_of(samples)])
        codes, names = pd.factorize(samples["dataset"], sort=True)
        vectors, centre, basis = (own.astype(np.float32) for own in (vectors, centre, basis))
        return cls(names.tolist(), codes, vectors, centre, basis, calibration)

    def to_content(self) -> dict[str, Any]:
        """What ``persistence`` writes."""
        return {**vars(self), "calibration": asdict(self.calibration)}

    def project(self, features: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        """The (n, d + 3) vectors of n queries, by their (n, D) features; as rounded as its own.

        Raises InputError if these are of another width.
        """
        if features.shape[1] != len(self.centre):
            raise InputError(
                f"{SEEN}: describes {len(self.centre)} features, where the router goes by "
                f"{features.shape[1]}; export the router again"
            )
        vectors = np.hstack([(features - self.centre) @ self.basis, form_of(samples)])
        return vectors.astype(np.float32)

    @cached_property
    def _scaler(self) -> StandardScaler:
        return StandardScaler().fit(self.vectors)

    @cached_property
    def _usual_distance(self) -> float:
        """How far a sample is from its next one, at most, but for 5 % of them."""
        scaled = self._scaler.transform(self.vectors)
        distances, _ = NearestNeighbors(n_neighbors=1).fit(scaled).kneighbors()
        return float(np.quantile(distances, CONFIDENCE))

    def nearest(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) data set of the nearest sample, and whether it is as near as theirs are to them."""
        scaled = self._scaler.transform(self.vectors)
        rows, distances = pairwise_distances_argmin_min(self._scaler.transform(vectors), scaled)
        return self.dataset[rows], distances <= self._usual_distance


@dataclass(frozen=True)
class Moved:
    """What is told of n queries by what they are.

    Attributes
    ----------
    n_queries
        n.
    auc, p
        How well a classifier tells them from the training samples, and the p-value.
    covered
        Share of them that is as near to a training sample as 95 % of these are to each other.
    shares
        Name of a data set to its share of the training samples, and of the queries' nearest ones.
    form
        (2, 3) mean of ``form_of`` in training, and of the queries.
    """

    n_queries: int
    auc: float
    p: float
    covered: float
    shares: dict[str, tuple[float, float]]
    form: np.ndarray


@dataclass(frozen=True)
class Drift:
    """What is told of traffic.

    Attributes
    ----------
    queries
        By what they are; None where that is not known, or they are too few.
    calibration, expected
        Of those whose outcome is known, and in training.
    """

    queries: Moved | None
    calibration: Calibration
    expected: Calibration

    @property
    def p_values(self) -> dict[str, float]:
        """Of all checks that could be made: ``queries``, ``utility``, ``cost``."""
        told = {} if self.queries is None else {"queries": self.queries.p}
        if self.calibration.n_queries and self.expected.n_queries:
            errors, ratios = self.calibration.differs(self.expected)
            told |= {"utility": errors, "cost": ratios}
        return told

    @property
    def alarms(self) -> list[str]:
        """The checks that fail, so that any does by chance in at most 5 % of looks."""
        told = self.p_values
        return [name for name, p in told.items() if p <= SIGNIFICANCE / len(told)]


def look(seen: Seen, vectors: np.ndarray | None, calibration: Calibration, seed: int = 0) -> Drift:
    """Hold traffic against what was seen in training.

    Parameters
    ----------
    seen
        As the folder has it.
    vectors
        (n, d + 3) of the queries, each of another group, see ``Seen.project``; None: they are not
        known.
    calibration
        Of those whose outcome is known.
    seed
        Of what is drawn.
    """
    if vectors is None or min(len(vectors), len(seen.vectors)) < FEWEST:
        return Drift(None, calibration, seen.calibration)
    generator = np.random.default_rng(seed)
    known, own = (
        every[generator.permutation(len(every))[:MOST_COMPARED]]
        for every in (seen.vectors, vectors)
    )
    told, label = np.vstack([known, own]), np.repeat([0, 1], [len(known), len(own)])
    learned, held, learned_label, held_label = train_test_split(
        told, label, test_size=0.5, stratify=label, random_state=seed
    )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    score = classifier.fit(learned, learned_label).decision_function(held)
    compared = mannwhitneyu(score[held_label == 1], score[held_label == 0], alternative="greater")
    auc = compared.statistic / np.prod(np.bincount(held_label))
    nearest, near = seen.nearest(vectors)
    size = len(seen.datasets)
    before = np.bincount(seen.dataset, minlength=size) / len(seen.dataset)
    now = np.bincount(nearest, minlength=size) / len(nearest)
    shares = dict(zip(seen.datasets, zip(before.tolist(), now.tolist(), strict=True), strict=True))
    form = np.stack([every[:, -len(FORM) :].mean(axis=0) for every in (seen.vectors, vectors)])
    queries = Moved(
        len(vectors), float(auc), float(compared.pvalue), float(near.mean()), shares, form
    )
    return Drift(queries, calibration, seen.calibration)


def in_words(drift: Drift) -> list[str]:
    """What was told, a line for each."""
    alarms, moved = drift.alarms, drift.queries
    lines = [
        f"whether the queries have drifted is not told: of them, or of the labels, fewer than "
        f"{FEWEST} are known"
    ]
    if moved:
        differs = (
            f"a classifier tells them from the labels with an AUC of {moved.auc:.2f} (p "
            f"{moved.p:.2g})"
        )
        lines = [f"no drift is seen in {moved.n_queries:,} queries: {differs}"]
        if "queries" in alarms:
            lines = [
                f"DRIFT: {moved.n_queries:,} queries are others than the labels: {differs}",
                *_new(moved),
            ]
    now, before = drift.calibration, drift.expected
    if "utility" in drift.p_values:
        lines += [
            f"{'DRIFT: ' * ('utility' in alarms)}answers were better than predicted by "
            f"{now.error:+.1%}, on the labels by {before.error:+.1%} (of {now.n_queries:,})",
            f"{'DRIFT: ' * ('cost' in alarms)}calls have cost {now.ratio:.2f} times what was "
            f"foreseen, on the labels {before.ratio:.2f}",
        ]
    if {"utility", "cost"} & set(alarms):
        lines.append("what was measured does not hold for this traffic; measure it anew")
    return lines


def _new(moved: Moved) -> Iterator[str]:
    """Which queries are new, and what was measured still covers."""
    shares = sorted(moved.shares.items(), key=lambda item: -abs(item[1][1] - item[1][0]))
    for name, (before, now) in shares[:3]:
        if abs(now - before) > SIGNIFICANCE:
            yield f"  nearest to {printable(name)}: {now:.1%} of them, {before:.1%} of the labels"
    (length, text, images), (own_length, own_text, own_images) = moved.form
    yield (
        f"  with text {own_text:.1%} of them ({text:.1%} of the labels), typically "
        f"{np.expm1(own_length):.0f} characters ({np.expm1(length):.0f}); images a query "
        f"{own_images:.2f} ({images:.2f})"
    )
    yield (
        f"  what was measured speaks of {moved.covered:.1%} of them, in another mix: so many are "
        f"as near to a label as {CONFIDENCE:.0%} of the labels are to each other"
    )


def read_seen(folder: Path) -> Seen | None:
    """What a folder keeps of its labels; None where it was exported without.

    Parameters
    ----------
    folder
        An exported router whose digests were checked.

    Raises
    ------
    InputError
        If it is no such description.
    """
    path = folder / SEEN
    if not path.exists():
        return None
    content = read(path, dict)
    wrong = InputError(f"{path}: no description of what was seen; export the router again")
    try:
        calibration = Calibration(**content["calibration"])
        seen = Seen(**{**content, "calibration": calibration})
        sound = _is_sound(seen)
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        raise wrong from None
    if not sound:
        raise wrong
    return seen


def _is_sound(seen: Seen) -> bool:
    arrays: Sequence[np.ndarray] = (seen.dataset, seen.vectors, seen.centre, seen.basis)
    numbers = [float(number) for number in asdict(seen.calibration).values()]
    size, known = len(seen.vectors), len(seen.datasets)
    form = seen.vectors[..., -len(FORM) :]
    return (
        all(isinstance(own, np.ndarray) and own.dtype.kind in "fi" for own in arrays)
        and all(np.isfinite(own).all() for own in (*arrays, np.array(numbers)))
        and all(isinstance(name, str) for name in seen.datasets)
        and min(seen.calibration.n_queries, seen.calibration.variance) >= 0
        and seen.calibration.ratio_variance >= 0
        and seen.dataset.dtype.kind == "i"
        and size <= MOST_SEEN
        and seen.dataset.shape == (size,)
        and bool(((seen.dataset >= 0) & (seen.dataset < known)).all())
        and seen.centre.shape == (len(seen.basis),)
        and seen.vectors.shape == (size, seen.basis.shape[1] + len(FORM))
        and bool(((form >= 0) & (form <= _LARGEST_FORM)).all())
    )
