"""Taking a router away: one folder that ``mmroute.load_router`` reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from mmroute import persistence
from mmroute.catalogue import build, find
from mmroute.config import SHRUNK, Config, Named, RouterConfig
from mmroute.decision.card import (
    CARD,
    CURVE,
    FEATURES,
    FORMAT,
    MODEL_CARD,
    ROUTER,
    Card,
    write_digests,
)
from mmroute.decision.decide import PER_1000, Run, Yardstick, with_bounds
from mmroute.decision.deployed import CURVE_COLUMNS, load_router, probe, require_usable
from mmroute.decision.rule import EARNED, PAID, Limit, Mixture, Spending
from mmroute.encoders import Encoder, Modality
from mmroute.errors import InputError
from mmroute.evaluation.curve import steps_of
from mmroute.evaluation.metrics import ROUNDING, single_models
from mmroute.evaluation.setting import Setting
from mmroute.features.embeddings import Embeddings, read_all
from mmroute.features.fusion import Features
from mmroute.outcome_table import PRICE_COLUMNS
from mmroute.predictions import Predictions
from mmroute.presentation.tables import markdown_escape, read_csv
from mmroute.routers import Router
from mmroute.storage import (
    atomic_folder,
    damaged,
    digest_file,
    read_json,
    read_vectors,
    write_json,
    write_text,
)

TITLES = {
    "accuracy": "accuracy",
    "cost_usd_per_1000": "USD per 1,000 queries",
    "saving": "saving against the best single model",
    "gain_on_best": "accuracy gained on it",
}


@dataclass(frozen=True)
class Choice:
    """What to export.

    Attributes
    ----------
    row
        A row of the main table, or a model that is always taken.
    threshold
        The policy's parameter; NaN for a model.
    reason
        How it was chosen, in words.
    second, share
        Another model, and the share of the queries that it gets, at random.
    """

    row: str
    threshold: float
    reason: str
    second: str | None = None
    share: float = 0.0


def decided(results: Path, asked: str, amount: str) -> Choice:
    """What the workflow decided on.

    Parameters
    ----------
    results
        The benchmark's folder.
    asked
        ``budget`` or ``accuracy``.
    amount
        As it stands in the config.

    Raises
    ------
    InputError
        If it was not asked for there, or if nothing surely kept it.
    """
    path = results / "decision.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the config first: mmroute run CONFIG")
    table = read_csv(path)
    table = table[(table["prices"] == "today") & (table["asked"] == asked)]
    amounts = table["amount"].astype(str)
    row = table[amounts == amount]
    if row.empty:
        key = {"budget": "budgets", "accuracy": "quality_targets"}[asked]
        raise InputError(
            f"{path}: nothing was decided for the {asked} {amount!r}, only for "
            f"{', '.join(amounts) or 'nothing'}; add it to decision.{key} and run again"
        )
    found = row.iloc[0]
    if not found["feasible"]:
        raise InputError(
            f"{path}: nothing surely keeps the {asked} {amount!r} in training; ask for another, "
            "or name a router and a threshold"
        )
    reason = f"decided for the {asked} {amount}"
    if isinstance(found["router"], str):
        return Choice(found["router"], float(found["threshold"]), reason)
    first, second, share = (found[name] for name in ("first", "second", "second_share"))
    if share in (0, 1) or first == second:
        return Choice(second if share == 1 else first, np.nan, reason)
    return Choice(first, np.nan, reason, second, float(share))


def export(config: Config, results: Path, choice: Choice, folder: Path) -> None:
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

    Raises
    ------
    InputError
        If there is something at ``folder``, if the run is not finished, if the row does not
        exist or cannot be used, or if what was written chooses otherwise than the run did on
        any sample of the test split.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists already; name another folder, or remove it")
    run = _Run(config, results, choice)
    with atomic_folder(folder) as partial:
        run.write(partial)
        run.check(partial)


class _Run:
    """A finished run, as far as one of its rows is concerned."""

    def __init__(self, config: Config, results: Path, choice: Choice) -> None:
        self.config, self.results, self.choice = config, results, choice
        self.salt = str(config.split.salts[0])
        outcomes, splits = results / "outcomes", results / "splits.parquet"
        for needed in (outcomes, splits):
            if not needed.exists():
                raise InputError(f"{needed}: no such file; run the config first: mmroute run")
        self.setting = Setting.read(
            outcomes,
            splits,
            self.salt,
            policy=config.policy,
            n_resamples=config.resamples,
            seed=config.seed,
        )
        names = self.setting.table.model_names
        self.mixture = None
        if choice.row in names:
            first, second = (
                names.index(name) for name in (choice.row, choice.second or choice.row)
            )
            self.mixture = Mixture(first, second, choice.share, True)
        self.router = None if self.mixture else self._router(names)

    def _router(self, models: Sequence[str]) -> RouterConfig:
        rows = self.config.routers
        row = self.choice.row.removesuffix(SHRUNK)
        if row not in rows or (row != self.choice.row and not rows[row].predicts):
            raise InputError(
                f"no row {self.choice.row!r} in the config; it has: {', '.join(rows)}; or a model: "
                + ", ".join(models)
            )
        if row == self.choice.row and not np.isfinite(self.choice.threshold):
            raise InputError(f"threshold: missing for {row!r}; give one, or a budget or accuracy")
        require_usable(
            build("routers", rows[row].name, rows[row].parameters), rows[row].fusion, row
        )
        return rows[row]

    def _stored(self, part: str, row: str | None = None) -> Path:
        path = self.results / "routers" / (row or self.choice.row) / self.salt / part
        if not path.is_file():
            raise InputError(f"{path}: no such file; run the config first: mmroute run CONFIG")
        return path

    def _trained(self, row: str) -> Router:
        """A row's trained router, once it is seen to be that router."""
        path = self._stored(ROUTER, row)
        own = self.config.routers[row]
        configured = build("routers", own.name, own.parameters)
        stored = persistence.read(path, type(configured), self.config.modules)
        parameters = stored.get_params()
        if any(parameters[name] != told for name, told in own.parameters.items()):
            raise damaged(path, f"holds a {type(stored).__name__} that is not the config's {row!r}")
        return stored

    def _features_file(self) -> Path | None:
        if self.router is None or self.router.fusion is None:
            return None
        path = self.results / "features" / self.router.fusion.key / f"{self.salt}.safetensors"
        if not path.is_file():
            raise InputError(f"{path}: no such file; run the config first: mmroute run CONFIG")
        return path

    def write(self, folder: Path) -> None:
        """Write everything but the check."""
        card = self._card()
        if self.router:
            row = self.choice.row.removesuffix(SHRUNK)
            # Written anew, not copied: taken away, they have no place in a run any more.
            persistence.write(folder / ROUTER, self._trained(row))
            if features := self._features_file():
                persistence.write(
                    folder / FEATURES, persistence.read(features, Features, self.config.modules)
                )
        persistence.write(folder / CURVE, dict(zip(CURVE_COLUMNS, self._curve(), strict=True)))
        write_json(folder / CARD, Card.model_validate(card).model_dump())
        write_text(folder / MODEL_CARD, self._model_card(card))
        write_digests(folder)

    def _card(self) -> dict[str, Any]:
        training = self.setting.training
        alone = single_models(training.utility, training.cost)
        prices = self.setting.table.models[list(PRICE_COLUMNS)].astype(object)
        prices = prices.where(prices.notna(), None)
        models = [
            {"model": name, "utility": float(utility), "cost_usd": float(cost)} | dict(row)
            for name, utility, cost, (_, row) in zip(
                training.model_names,
                alone.utility[0],
                alone.cost[0],
                prices.iterrows(),
                strict=True,
            )
        ]
        shrunk = self.router is not None and self.choice.row.endswith(SHRUNK)
        router = self.router
        return {
            "format": FORMAT,
            "mmroute": version("mmroute"),
            "benchmark": self.config.name,
            "simulated": any(
                find("sources", part.name).attributes.get("simulated", False)
                for part in self.config.source.parts
            ),
            "row": self.choice.row,
            "second": self.choice.second,
            "share": self.choice.share,
            "reason": self.choice.reason,
            "router": _as_json(router) if router else None,
            "fusion": _as_json(router.fusion) if router and router.fusion else None,
            "shrinkage": read_json(self._stored("shrinkage.json")) if shrunk else None,
            "policy": self.config.policy,
            "threshold": self.choice.threshold if router else None,
            "unit_usd": self.setting.unit,
            "models": models,
            "encoders": self._encoders() if router and router.fusion else {},
            "measured": self._measured(),
        }

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

    def _measured(self) -> dict[str, Any]:
        measure = Yardstick.of(self.setting)
        run = self._run(measure)
        names = self.setting.table.model_names
        expected = {
            name: None if np.isnan(value) else value
            for name, value in with_bounds(measure.expected(run)).items()
        }
        traffic = np.nanmean(run.traffic, axis=0)
        return expected | {
            "samples": len(self.setting.table.samples),
            "training_samples": len(self.setting.training.samples),
            "traffic": dict(zip(names, traffic.tolist(), strict=True)),
            "best_single_model": names[measure.labels.best],
        }

    def _run(self, measure: Yardstick) -> Run:
        if self.mixture:
            return measure.mixed(self.mixture)
        return measure.routed(self._predictions(), self.choice.threshold)

    def _predictions(self) -> Predictions:
        ids = self.setting.table.samples["sample_id"]
        return Predictions.read(self._stored("predictions.parquet"), ids)

    def _curve(self) -> tuple[np.ndarray, ...]:
        """The columns of the curve."""
        labels = Yardstick.of(self.setting).labels
        if self.mixture:
            cost, utility = (
                float(self.mixture.mean(means)) for means in (labels.mean_cost, labels.mean_utility)
            )
            # Of what has no threshold none is asked for.
            row = (0, PER_1000 * cost, PER_1000 * cost, utility)
            return tuple(np.array([number], float) for number in row)
        crossfit = Predictions.read(
            self._stored("crossfit.parquet"), self.setting.training.samples["sample_id"]
        )
        spending = Spending.of(labels, crossfit, self.setting.unit, self.config.policy)
        paid, earned = spending.means[:, PAID], spending.means[:, EARNED]
        surely = paid + spending.reserve(Limit(0.0, paired=False))
        return spending.threshold, PER_1000 * paid, PER_1000 * surely, earned

    def _reaches_network(self) -> bool:
        attributes = find("routers", self.router.name).attributes if self.router else {}
        return attributes.get("reaches_network", False)

    def check(self, folder: Path) -> None:
        """Raise InputError unless the written router chooses as the run did."""
        # Without features there is nothing to get wrong, and asking a chat model costs money.
        if self.router is None or self.router.fusion is None:
            return
        deployed = load_router(folder, self.config.modules)
        test = self.setting.benchmark.in_test
        decisions = deployed.route_embedded(*self._test_embeddings(test, self.router.fusion))
        predictions = self._predictions()
        everything = np.ones_like(self.setting.table.utility, bool)
        steps = steps_of(predictions, 0, everything, self.config.policy)
        # Just at a threshold the last digit decides.
        nearby = self.choice.threshold * np.array([1 - ROUNDING, 1, 1 + ROUNDING])
        choices = np.array([steps.choices(threshold) for threshold in nearby])
        differing = np.flatnonzero((choices != decisions.choice).all(axis=0))
        if len(differing):
            sample = predictions.sample_ids.iloc[differing[0]]
            raise InputError(
                f"{self.choice.row}: the exported router chooses otherwise than the run did on "
                f"{len(differing)} of {test.sum()} test samples, for instance {sample!r}; run the "
                "config again, its files may be of different runs"
            )

    def _test_embeddings(
        self, test: np.ndarray, fusion: Named
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
                test
            )
            for modality, encoder in self._built_encoders()
        )
        if not find("features", fusion.name).attributes.get("with_side"):
            return text, image, None
        side = read_vectors([str(folder / "side" / shard) for shard in shards], ids)
        return text, image, side[test]

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
            titles=TITLES,
            datasets=self.setting.table.samples["dataset"].drop_duplicates(),
            reaches_network=self._reaches_network(),
        )


def _as_json(named: Named) -> dict[str, Any]:
    return {"name": named.name, "parameters": dict(named.parameters)}


def _shown(value: float | None, name: str) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if name == "cost_usd_per_1000" else f"{value:.1%}"
