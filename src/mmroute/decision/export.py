"""Taking a router away: one folder that ``mmroute.load_router`` reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jinja2
import numpy as np

from mmroute import persistence
from mmroute.catalogue import build, find
from mmroute.config import Config, Named, RouterConfig, known_routers
from mmroute.confined import Limits, confined
from mmroute.decision.card import (
    CARD,
    CURVE,
    FEATURES,
    FORMAT,
    MODEL_CARD,
    ROUTER,
    SEEN,
    Card,
    read_card,
    write_digests,
)
from mmroute.decision.decide import (
    ACCURACY,
    BUDGET,
    EXPECTED,
    PER_1000,
    SHARE,
    Yardstick,
    decide,
    request,
    with_bounds,
)
from mmroute.decision.deployed import CURVE_COLUMNS, load_router, probe, require_usable
from mmroute.decision.drift import MOST_SEEN, Calibration, Seen
from mmroute.decision.evidence import Evidence, Learned, Trial
from mmroute.decision.files import Labelled, evidence_files, finished, trained_folder
from mmroute.decision.joined import Joining, with_labels
from mmroute.decision.rule import EARNED, LISTED, PAID, Limit, Mixture, Target
from mmroute.encoders import Encoder, Modality
from mmroute.errors import InputError
from mmroute.evaluation.curve import steps_of, training_steps
from mmroute.evaluation.metrics import ROUNDING
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.shrinkage import Shrinkage, choose
from mmroute.features.embeddings import Embeddings, read_all
from mmroute.features.fusion import Features
from mmroute.outcome_table import LATENCY, PRICE_COLUMNS, OutcomeTable
from mmroute.predictions import Predictions
from mmroute.presentation.tables import markdown_escape
from mmroute.routers import DynamicRouter, Router
from mmroute.sources.cells import read_cells
from mmroute.storage import (
    SHRUNK,
    atomic_folder,
    damaged,
    digest_file,
    read_json,
    read_vectors,
    write_json,
    write_text,
)
from mmroute.training import Inputs, read_inputs, take

UNTIMED = (
    "within decision.max_latency, and labels of new models do not tell how long these take; name "
    "a router and a threshold, or take that key out and run again"
)
TITLES = {
    "accuracy": "accuracy",
    "cost_usd_per_1000": "USD per 1,000 queries",
    "saving": "saving against the best single model",
    "gain_on_best": "accuracy gained on it",
    LATENCY: "seconds a query",
}


@dataclass(frozen=True)
class Choice:
    """What to export.

    Attributes
    ----------
    row
        A row of the main table, or a model.
    threshold
        The policy's parameter; NaN for a model.
    reason
        How it was chosen, in words.
    mixture
        What is advised, or what the router was held against; None for one that was not decided.
    labels
        What it is trained on.
    asked
        What a router is to keep on the queries at hand; None: the threshold holds.
    measured
        What to expect, as ``decide`` has it; None: it is measured on the test split.
    max_latency
        What it was decided within, as of the config.
    """

    row: str
    threshold: float
    reason: str
    mixture: Mixture | None = None
    labels: Labelled = "train"
    asked: Limit | Target | None = None
    measured: Mapping[str, Any] | None = None
    max_latency: float | None = None


def decided(
    config: Config, results: Path, asked: str, amount: str, labels: Labelled | None = None
) -> Choice:
    """What is advised on a finished run.

    Parameters
    ----------
    config
        That of the run.
    results
        The benchmark's folder.
    asked
        ``budget`` or ``accuracy``.
    amount
        As it stands in the config.
    labels
        What to decide on; None: as in the config.

    Raises
    ------
    InputError
        If it was not asked for there, if nothing surely keeps it, or if the run is not finished.
    """
    key = {BUDGET: "budgets", ACCURACY: "quality_targets"}[asked]
    amounts = {str(one): one for one in getattr(config.decision, key)}
    if amount not in amounts:
        raise InputError(
            f"config key decision.{key}: nothing was decided for the {asked} {amount!r}, only for "
            f"{', '.join(amounts) or 'nothing'}; add it and run again"
        )
    setting, own = _setting(config, results), config.decision
    labels = labels or own.labels
    evidence = _evidence(setting, results, own.router, labels)
    how = setting.n_resamples, setting.seed
    asked_for = own.router, own.budgets, own.quality_targets
    table = decide(evidence, *asked_for, {}, *how, own.max_latency)
    row = table[(table["asked"] == asked) & (table["amount"] == amount)].iloc[0]
    if not row["feasible"]:
        raise InputError(
            f"config key decision.{key}: nothing surely keeps the {asked} {amount!r}; ask for "
            "another, or name a router and a threshold"
        )
    names, reason = setting.table.model_names, f"decided for the {asked} {amount}"
    first, second = (names.index(row[part]) for part in ("first", "second"))
    mixture = Mixture(first, second, float(row["second_share"]), True)
    measured = {str(name): value for name, value in row.items()}
    if row["router"]:
        one, threshold = request(asked, amounts[amount]), float(row["threshold"])
        routed = row["router"], threshold, reason, mixture, labels, one, measured
        return Choice(*routed, own.max_latency)
    if mixture.share == 1:
        mixture = Mixture(second, second, 0.0, True)
    static = names[mixture.first], np.nan, reason, mixture, labels, None, measured
    return Choice(*static, own.max_latency)


def exported(config: Config, results: Path, folder: Path) -> Choice:
    """What was exported of a finished run to another folder; a limit is kept in USD.

    Parameters
    ----------
    config, results
        As for ``decided``.
    folder
        What ``export`` has written; it is read as a stranger's, and only compared.

    Raises
    ------
    InputError
        If it is no such folder, or not of this run, or was decided for an accuracy, which it
        does not tell.
    """
    card, path = read_card(folder), folder / CARD
    if card.listed_usd is not None:
        raise InputError(f"{path}: it was decided for an accuracy; give that again instead")
    if card.max_latency is not None:
        raise InputError(f"{path}: it was decided {UNTIMED}")
    models = [model.model for model in card.models]
    names = _setting(config, results).table.model_names
    if models != names:
        raise InputError(
            f"{path}: models: not the pool of {results}, {', '.join(names)}; give a folder that "
            "was exported of it, and all new models in one table"
        )
    mixture = Mixture(
        models.index(card.mixture.first),
        models.index(card.mixture.second),
        card.mixture.share,
        True,
    )
    asked = Limit(card.limit.usd, paired=False) if card.limit else None
    threshold = np.nan if card.threshold is None else card.threshold
    choice = Choice(card.row, threshold, card.reason, mixture, card.labels, asked)
    run = _Run(config, results, choice)
    if run.router:
        with TemporaryDirectory() as own:
            run.write_router(Path(own))
            if digest_file(Path(own, ROUTER)) != digest_file(folder / ROUTER):
                raise InputError(
                    f"{folder / ROUTER}: not the router {card.row!r:.80} of {results}; give a "
                    "folder that was exported of it"
                )
    return choice


def _setting(config: Config, results: Path) -> Setting:
    """How a run's benchmark is measured."""
    return Setting.read(
        finished(results / "outcomes"),
        finished(results / "splits.parquet"),
        str(config.split.salts[0]),
        policy=config.policy,
        n_resamples=config.resamples,
        seed=config.seed,
    )


def _evidence(setting: Setting, results: Path, row: str, labels: Labelled) -> Evidence:
    files = [
        Path(file) for file in evidence_files(str(results), row, setting.benchmark.salt, labels)
    ]
    for file in files:
        if not file.exists():
            needed = "decision.labels: all" if labels == "all" else f"{row} among routers"
            raise InputError(f"{file}: no such file; run the config first, with {needed}")
    return Evidence.read(setting, row, labels, files)


def export(
    config: Config, results: Path, choice: Choice, folder: Path, labels: Path | None = None
) -> None:
    """Write a trained router with all that it needs, and check that it chooses as it did.

    Parameters
    ----------
    config
        That of the run.
    results
        The benchmark's folder, with a finished run.
    choice
        What to export.
    folder
        Where to; it appears only when it is whole.
    labels
        A table of labels of new models, which join the trained router; see ``with_labels``.

    Raises
    ------
    InputError
        If there is something at ``folder``, if the run is not finished, if the row does not
        exist or cannot be used, if new models cannot join it by their labels, or if what was
        written chooses otherwise than the run did on any sample that the run stored its
        predictions of.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists already; name another folder, or remove it")
    run = _Run(config, results, choice, labels)
    with atomic_folder(folder) as partial:
        run.write(partial)
        run.check(partial)


class _Run:
    """A finished run, as far as one of its rows is concerned."""

    def __init__(
        self, config: Config, results: Path, choice: Choice, labels: Path | None = None
    ) -> None:
        self.config, self.results, self.choice = config, results, choice
        self.setting = _setting(config, results)
        self.salt = self.setting.benchmark.salt
        names = self.setting.table.model_names
        self.router = None if choice.row in names else self._router(names)
        benchmark = self.setting.benchmark
        self.labelled = benchmark.observed if choice.labels == "all" else benchmark.train
        if self.router:
            evidence = _evidence(self.setting, results, choice.row, choice.labels)
            if choice.max_latency is not None:
                evidence = evidence.within(choice.max_latency)
            self.learned = evidence.learned
        else:
            nothing = _unforeseen(self.labelled)
            self.learned = Learned(
                self.labelled, nothing, len(nothing.sample_ids), benchmark.unit, config.policy
            )
        self.joining = self._join(labels) if labels else None
        alone = self.learned.labels.best if self.router else names.index(choice.row)
        self.mixture = choice.mixture or Mixture(alone, alone, 0.0, True)

    def _join(self, path: Path) -> Joining:
        """Let new models join, and decide and measure on the samples that they are labelled on."""
        trained = self._trained() if self.router else None
        if not isinstance(trained, DynamicRouter):
            raise InputError(
                f"{path}: no model can join {self.choice.row!r} without training; export a row of "
                "uniroute, or add the model to the source and run the config again"
            )
        if self.choice.max_latency is not None:
            raise InputError(f"{path}: {self.choice.row!r} was decided {UNTIMED}")
        cells = confined(lambda: read_cells(path), Limits(**self.config.limits.model_dump()))
        joining = Joining.of(
            with_labels(self.labelled, cells, path),
            take(self._inputs(), self._is_labelled),
            self.setting.unit,
            len(self.labelled.model_names),
            path,
        )
        # It is that of all labelled samples.
        shrinkage = self._shrinkage
        self.labelled = joining.table
        self.learned = replace(
            self.learned,
            table=joining.table,
            crossfit=joining.cross_fit(trained, self.learned.crossfit, shrinkage),
            priced_by=self.learned.labels.reference,
        )
        self._choose_anew(joining, path)
        return joining

    def _choose_anew(self, joining: Joining, path: Path) -> None:
        """Keep what was asked with the new models, too."""
        choice, n_samples = self.choice, len(joining.table.samples)
        told = f"{', '.join(joining.names)} joined it by labels of {n_samples} queries"
        threshold = choice.threshold
        if choice.asked:
            if self._point is None:
                raise InputError(
                    f"{path}: with labels of {n_samples} queries nothing surely keeps what was "
                    "decided; label more, or name a router and a threshold"
                )
            threshold = float(self.learned.spending.threshold[self._point])
        self.choice = replace(
            choice, threshold=threshold, reason=f"{choice.reason}; {told}", measured=None
        )

    @property
    def _is_labelled(self) -> np.ndarray:
        """(N,) mask of the samples that the router is trained on."""
        benchmark = self.setting.benchmark
        everything = self.choice.labels == "all"
        return benchmark.in_train | benchmark.in_test if everything else benchmark.in_train

    def _inputs(self) -> Inputs:
        """What the router reads of all N samples."""
        stored = self._features_file()
        features = str(finished(stored.with_suffix(".parquet"))) if stored else None
        source = str(finished(self.results / "source.json"))
        return read_inputs(self.setting.benchmark.table.samples, features, source)

    def _router(self, models: Sequence[str]) -> RouterConfig:
        row, decided_on = (
            name.removesuffix(SHRUNK) for name in (self.choice.row, self.config.decision.router)
        )
        # What decides is trained though it may be no row of the table.
        rows = {decided_on: known_routers(self.config.routers)[decided_on]} | dict(
            self.config.routers
        )
        if row not in rows or (row != self.choice.row and not rows[row].predicts):
            raise InputError(
                f"no row {self.choice.row!r} in the config; it has: {', '.join(rows)}; or a model: "
                + ", ".join(models)
            )
        if rows[row].elsewhere:
            usable = [name for name, own in rows.items() if not own.elsewhere]
            raise InputError(
                f"no router to export: the row {row!r} are choices from elsewhere; name another "
                f"row ({', '.join(usable)}) or a model"
            )
        if not np.isfinite(self.choice.threshold):
            raise InputError(
                f"threshold: missing for {self.choice.row!r}; give one, or a budget or accuracy"
            )
        require_usable(
            build("routers", rows[row].name, rows[row].parameters), rows[row].fusion, row
        )
        return rows[row]

    @property
    def _folder(self) -> Path:
        return Path(
            trained_folder(str(self.results), self.choice.row, self.salt, self.choice.labels)
        )

    def _trained(self) -> Router:
        """The trained router, once it is seen to be that router."""
        path = finished(self._folder / ROUTER)
        row = self.choice.row.removesuffix(SHRUNK)
        own = self._router(self.setting.table.model_names)
        configured = build("routers", own.name, own.parameters)
        stored = persistence.read(path, type(configured), self.config.modules)
        parameters = stored.get_params()
        if any(parameters[name] != told for name, told in own.parameters.items()):
            raise damaged(path, f"holds a {type(stored).__name__} that is not the config's {row!r}")
        return stored

    def _predictions(self) -> Predictions:
        """What the trained router predicts of the samples that the run asked it about."""
        benchmark = self.setting.benchmark
        table = benchmark.observed if self.choice.labels == "all" else benchmark.test
        path = finished(self._folder / "predictions.parquet")
        predictions = Predictions.read(path, table.samples["sample_id"])
        return self._shrinkage.apply(predictions) if self._shrinkage else predictions

    @cached_property
    def _shrinkage(self) -> Shrinkage | None:
        """What the predictions of a shrunk row are shrunk by."""
        if not self.router or not self.choice.row.endswith(SHRUNK):
            return None
        row = self.choice.row.removesuffix(SHRUNK)
        raw = _evidence(self.setting, self.results, row, self.choice.labels).learned.crossfit
        table, benchmark = self.labelled, self.setting.benchmark
        return choose(raw, table.utility, table.cost / benchmark.unit, self.config.policy)

    def _features_file(self) -> Path | None:
        if self.router is None or self.router.fusion is None:
            return None
        key = self.router.fusion.key
        return finished(self.results / "features" / key / f"{self.salt}.safetensors")

    def write(self, folder: Path) -> None:
        """Write everything but the check."""
        card = self._card()
        if self.router:
            # Written anew, not copied: taken away, they have no place in a run any more.
            self.write_router(folder)
            if features := self._features_file():
                persistence.write(
                    folder / FEATURES, persistence.read(features, Features, self.config.modules)
                )
        persistence.write(folder / CURVE, dict(zip(CURVE_COLUMNS, self._curve(), strict=True)))
        persistence.write(folder / SEEN, self._seen().to_content())
        write_json(folder / CARD, Card.model_validate(card).model_dump(exclude_unset=True))
        write_text(folder / MODEL_CARD, self._model_card(card))
        write_digests(folder)

    def _seen(self) -> Seen:
        """What the labels are like: some of them, each of another group."""
        samples = self.setting.benchmark.table.samples
        rows = np.flatnonzero(self._is_labelled)
        rows = rows[~samples["group"].iloc[rows].duplicated()]
        generator = np.random.default_rng(self.config.seed)
        chosen = np.zeros(len(samples), bool)
        chosen[generator.permutation(rows)[: 2 * MOST_SEEN]] = True
        features = np.empty((chosen.sum(), 0))
        stored = self._features_file()
        if self.router and self.router.fusion and stored:
            fitted = persistence.read(stored, Features, self.config.modules)
            text, image, side = self._embeddings(chosen, self.router.fusion)
            features = fitted.transform(text, image, np.empty(0) if side is None else side)
        return Seen.of(features, samples[chosen], self._calibration())

    def _calibration(self) -> Calibration:
        """How far off cross-fitted predictions are for the models that are chosen."""
        if not self.router or not self.router.predicts:
            return Calibration()
        learned = self.learned
        rows, steps = training_steps(learned.crossfit, learned.table.utility, learned.policy)
        cells = rows, steps.choices(self.choice.threshold)
        predicted = learned.crossfit.u_hat[0], learned.crossfit.c_hat[0] * learned.unit
        (utility, cost), (u_hat, foreseen) = (
            (own[cells] for own in pair)
            for pair in ((learned.table.utility, learned.table.cost), predicted)
        )
        group = learned.table.samples["group"].to_numpy()[rows]
        return Calibration.of(utility, u_hat, cost, foreseen, group)

    def write_router(self, folder: Path) -> None:
        """Write the trained router, with the new models."""
        trained = self._trained()
        if self.joining and isinstance(trained, DynamicRouter):
            trained = self.joining.to(trained)
        persistence.write(folder / ROUTER, trained)

    def _card(self) -> dict[str, Any]:
        prices = self.labelled.models[list(PRICE_COLUMNS)].astype(object)
        prices = prices.where(prices.notna(), None)
        # Of those too slow to be chosen, too.
        labels = replace(self.learned, table=self.labelled).labels
        names = self.labelled.model_names
        models = [
            {"model": name, "utility": float(utility), "cost_usd": float(cost)} | dict(row)
            for name, utility, cost, (_, row) in zip(
                names, labels.mean_utility, labels.mean_cost, prices.iterrows(), strict=True
            )
        ]
        router, mixture = self.router, self.mixture
        limit, listed = self._kept()
        shrinkage = self._shrinkage
        if shrinkage and self.joining:
            shrinkage = self.joining.extended(shrinkage)
        return {
            "format": FORMAT,
            "mmroute": version("mmroute"),
            "benchmark": self.config.name,
            "simulated": any(
                find("sources", part.name).attributes.get("simulated", False)
                for part in self.config.source.parts
            ),
            "row": self.choice.row,
            "reason": self.choice.reason,
            "mixture": {
                "first": names[mixture.first],
                "second": names[mixture.second],
                "share": mixture.share,
            },
            "labels": self.choice.labels,
            "n_labels": len(self.labelled.samples),
            "limit": limit,
            "listed_usd": listed,
            "router": _as_json(router) if router else None,
            "fusion": _as_json(router.fusion) if router and router.fusion else None,
            "shrinkage": shrinkage.to_json() if shrinkage else None,
            "policy": self.config.policy,
            "threshold": self.choice.threshold if router else None,
            "unit_usd": self.setting.unit,
            "models": models,
            "encoders": self._encoders() if router and router.fusion else {},
            "measured": self._measured(),
            **self._within(),
            **self._unseeing(),
        }

    def _within(self) -> dict[str, Any]:
        """What the card says of a limit in seconds, if there is one."""
        if self.choice.max_latency is None:
            return {}
        slow = np.isnan(self.learned.table.utility).all(axis=0)
        left_out = np.array(self.labelled.model_names)[slow].tolist()
        return {"max_latency": self.choice.max_latency, "left_out": left_out}

    def _unseeing(self) -> dict[str, Any]:
        """What the card says of models that take no images, if there are any."""
        blind, names = self.config.decision.blind, self.labelled.model_names
        if unknown := [name for name in blind if name not in names]:
            raise InputError(
                f"config key decision.blind: no model {unknown[0]!r} in the pool; it has: "
                f"{', '.join(names)}"
            )
        return {"blind": blind} if blind else {}

    def _built_encoders(self) -> Iterator[tuple[Modality, Encoder]]:
        for modality in ("text", "image"):
            named: Named = getattr(self.config.encoders, modality)
            yield modality, build("encoders", named.name, named.parameters)

    def _encoders(self) -> dict[str, Any]:
        """Describe the encoders, with what a probe tells of them and the checkpoint's digest."""
        described: dict[str, dict[str, Any]] = {}
        for modality, encoder in self._built_encoders():
            named = getattr(self.config.encoders, modality)
            vector = probe(encoder, modality)
            checkpoint = Path(str(named.parameters.get("pretrained", "")))
            described[modality] = _as_json(named) | {
                "probe": vector.tolist(),
                "checkpoint": digest_file(checkpoint) if checkpoint.is_file() else None,
            }
        return described

    @cached_property
    def _point(self) -> int | None:
        """The operating point on the labels that keeps what was asked; None if none does."""
        asked, spending = self.choice.asked, self.learned.spending
        if isinstance(asked, Limit):
            return spending.at(asked, self.learned.labels.usd(asked))
        return spending.reaching(asked) if asked else None

    def _kept(self) -> tuple[dict[str, float] | None, float | None]:
        """What the card says of the limit, and of what the choices are to cost by the list."""
        asked, point = self.choice.asked, self._point if self.router else None
        spending, labels = self.learned.spending, self.learned.labels
        if point is None:
            return None, None
        if isinstance(asked, Limit):
            listed, predicted = spending.ratios[point]
            # That of one label and one query, see ``DeployedRouter``.
            scale = np.sqrt(labels.spread / len(self.labelled.samples))
            return {
                "usd": labels.usd(asked),
                "listed_ratio": float(listed),
                "predicted_ratio": float(predicted),
                "reserve_usd": float(spending.reserve(asked)[point] / scale),
            }, None
        return None, float(spending.means[point, LISTED])

    def _measured(self) -> dict[str, Any]:
        names = self.labelled.model_names
        measured, samples = self.choice.measured, len(self.labelled.samples)
        if measured is None:
            measured, samples = self._tried()
        expected = {
            name: None if np.isnan(measured[name]) else float(measured[name])
            for title in (*EXPECTED, *({LATENCY} & measured.keys()))
            for name in (title, f"{title}_low", f"{title}_high")
        }
        return expected | {
            "samples": samples,
            "traffic": {name: float(measured[f"{SHARE}{name}"]) for name in names},
            "best_single_model": names[self.learned.labels.best],
        }

    def _tried(self) -> tuple[dict[str, Any], int]:
        """What was not decided is measured as it is exported, and on how many samples.

        It is the test split; for new models, their labels, by cross-fitted predictions.
        """
        setting = self.setting
        if self.joining:
            trial = Trial(self.learned, self.labelled, self.learned.crossfit)
            evidence = Evidence(self.learned, (trial,))
        elif self.router:
            evidence = _evidence(setting, self.results, self.choice.row, "train")
        else:
            nothing = (_unforeseen(table) for table in (setting.table, setting.training))
            evidence = Evidence.of_splits(setting, *nothing)
        (trial,) = evidence.trials
        run = trial.routed(self.choice.threshold) if self.router else trial.mixed(self.mixture)
        measure = Yardstick.of(evidence, setting.n_resamples, setting.seed)
        traffic = np.nanmean(run.traffic, axis=0)
        shares = {
            f"{SHARE}{name}": float(share)
            for name, share in zip(self.labelled.model_names, traffic, strict=True)
        }
        return {**with_bounds(measure.expected(run)), **shares}, len(trial.table.samples)

    def _curve(self) -> tuple[np.ndarray, ...]:
        """The columns of the curve."""
        labels = self.learned.labels
        if not self.router:
            cost, utility = (
                float(self.mixture.mean(means)) for means in (labels.mean_cost, labels.mean_utility)
            )
            # Of what has no threshold none is asked for.
            row = (0.0, PER_1000 * cost, utility, 1.0, 1.0, 0.0)
            return tuple(np.array([number]) for number in row)
        spending = self.learned.spending
        limit = Limit(0.0, paired=False)
        scale = limit.margin * np.sqrt(labels.spread / len(self.labelled.samples))
        columns = [
            spending.threshold,
            PER_1000 * spending.means[:, PAID],
            spending.means[:, EARNED],
            *spending.ratios.T,
            PER_1000 * spending.reserve(limit) / scale,
        ]
        fast = np.broadcast_to(spending.fast, len(spending.threshold))
        return tuple(column[fast] for column in columns)

    def _reaches_network(self) -> bool:
        attributes = find("routers", self.router.name).attributes if self.router else {}
        return attributes.get("reaches_network", False)

    def check(self, folder: Path) -> None:
        """Raise InputError unless the written router chooses as the run did."""
        # Without features there is nothing to get wrong, and asking a chat model costs money.
        if self.router is None or self.router.fusion is None:
            return
        deployed = load_router(folder, self.config.modules)
        benchmark, predictions = self.setting.benchmark, self._predictions()
        told = benchmark.in_test
        if self.choice.labels == "all":
            told = told | benchmark.in_train
        text, image, side = self._embeddings(told, self.router.fusion)
        foreseen = deployed.foresee_embedded(text, image, side)
        known = np.arange(len(deployed.models)) < predictions.u_hat.shape[2]
        allowed = np.tile(known, (len(foreseen.sample_ids), 1))
        decisions = deployed.choose(foreseen, self.choice.threshold, allowed)
        everything = np.ones(predictions.u_hat.shape[1:], bool)
        everything &= deployed.allowed[known]
        if foreseen.possible is not None:
            everything &= foreseen.possible[:, known]
        steps = steps_of(predictions, 0, everything, self.config.policy)
        # Just at a threshold the last digit decides.
        nearby = self.choice.threshold * np.array([1 - ROUNDING, 1, 1 + ROUNDING])
        choices = np.array([steps.choices(threshold) for threshold in nearby])
        differing = np.flatnonzero((choices != decisions.choice).all(axis=0))
        if len(differing):
            sample = predictions.sample_ids.iloc[differing[0]]
            raise InputError(
                f"{self.choice.row}: the exported router chooses otherwise than the run did on "
                f"{len(differing)} of {told.sum()} samples, for instance {sample!r}; run the "
                "config again, its files may be of different runs"
            )

    def _embeddings(
        self, samples: np.ndarray, fusion: Named
    ) -> tuple[Embeddings, Embeddings, np.ndarray | None]:
        shards = [
            f"{dataset['folder']}.{shard}.parquet"
            for dataset in read_json(self.results / "data/index.json")["datasets"]
            for shard in range(len(dataset["shards"]))
        ]
        folder = self.results / "embeddings"
        ids = self.setting.benchmark.table.samples["sample_id"]
        text, image = (
            read_all([str(folder / modality / encoder.key / shard) for shard in shards], ids).take(
                samples
            )
            for modality, encoder in self._built_encoders()
        )
        if not find("features", fusion.name).attributes.get("with_side"):
            return text, image, None
        side = read_vectors([str(folder / "side" / shard) for shard in shards], ids)
        return text, image, side[samples]

    def _model_card(self, card: Mapping[str, Any]) -> str:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("mmroute.decision", "."),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters |= {
            "escaped": lambda text: markdown_escape(str(text)),
            "shown": _shown,
        }
        return environment.get_template("model_card.md.j2").render(
            card=card,
            titles={name: title for name, title in TITLES.items() if name in card["measured"]},
            datasets=self.setting.table.samples["dataset"].drop_duplicates(),
            reaches_network=self._reaches_network(),
            joined=self.joining.names if self.joining else [],
        )


def _unforeseen(table: OutcomeTable) -> Predictions:
    """What stands in place of predictions where there is no router."""
    nothing = np.zeros((1, *table.utility.shape))
    return Predictions(table.samples["sample_id"], nothing, nothing)


def _as_json(named: Named) -> dict[str, Any]:
    return {"name": named.name, "parameters": dict(named.parameters)}


def _shown(value: float | None, name: str) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if name in ("cost_usd_per_1000", LATENCY) else f"{value:.1%}"
