"""Runs side by side: what to run, every row and model with differences, and what changed.

Runs of the same queries are compared with the first of them; several benchmarks are ranked
together. Values are the runs' own, as their tables have them.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from mmroute.decision.decide import ALL_BUDGETS, SHARE
from mmroute.decision.words import used
from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import resample_weights, weight_blocks
from mmroute.evaluation.inference import difference, over_trainings, p_value
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.shards import accumulate, add_up, single_blocks
from mmroute.outcome_table import PER_CALL, PRICE_COLUMNS, rows_by_label
from mmroute.presentation.looks import LEAST_NAMED
from mmroute.presentation.tables import REFERENCES, SPREAD, add_macro_averages, record_of, spread
from mmroute.report.runs import KEYS, Run

RANKED, GAINED = "nauc_honest", "gain_honest"
"""What a leaderboard ranks by, and what it averages."""
SAME, MOVED, CHANGED = "same", "traffic moved", "changed"
"""What became of an advice: the same but for at most ``LEAST_NAMED`` of the traffic; the same
router or models, with more of the traffic elsewhere; another router or other models."""
BOUNDS = SPREAD[:3]
_ENDS = ("", "_low", "_high")
ADVISED = ("accuracy", "cost_usd_per_1000")
"""What of an advice is compared."""
DIFFERENCE = ("difference", "difference_low", "difference_high", "p_value")
_APART = 0
"""Seed of the orders in which resamples of different samples meet."""

Measure = Callable[[str | None, str], pd.DataFrame]
"""The replicates of a row, or of what needs no router, under a salt."""


@dataclass(frozen=True)
class Pairing:
    """How the test samples of two runs meet.

    Attributes
    ----------
    how
        ``same``: the same samples and resamples, so that replicates are subtracted; ``shared``:
        both are measured anew on the samples that both have; ``apart``: taken as if of
        independent samples.
    told
        Why, in a sentence.
    """

    how: Literal["same", "shared", "apart"]
    told: str


@dataclass(frozen=True)
class Pair:
    """A run beside the first one of its benchmark.

    Attributes
    ----------
    first, second
        The runs; differences are second less first.
    pairing
        How they were compared.
    rows
        By ``KEYS`` the ``DIFFERENCE`` of each value that both have.
    models
        As from ``compare_models``.
    advice
        As from ``compare_advice``.
    changes
        As from ``changes``.
    """

    first: Run
    second: Run
    pairing: Pairing
    rows: pd.DataFrame
    models: pd.DataFrame
    advice: pd.DataFrame
    changes: pd.DataFrame

    @property
    def runs(self) -> dict[str, Run]:
        """The two, as the columns of its frames call them."""
        return {"first": self.first, "second": self.second}

    @classmethod
    def of(cls, first: Run, second: Run) -> "Pair":
        """Compare two runs of one benchmark."""
        own = shared(first.samples, second.samples)
        pairing = pair(first, second, own)
        return cls(
            first,
            second,
            pairing,
            compare_rows(first, second, pairing, own),
            compare_models(first, second, own),
            compare_advice(first.decisions, second.decisions),
            changes(first, second),
        )


@dataclass(frozen=True)
class Comparison:
    """Several runs.

    Attributes
    ----------
    benchmarks
        The runs of each benchmark, in the order given.
    pairs
        Of each benchmark that has several, all others beside the first.
    leaderboard
        As from ``leaderboard``, of the last run of each; None of a single benchmark.
    """

    benchmarks: Sequence[Sequence[Run]]
    pairs: Sequence[Sequence[Pair]]
    leaderboard: pd.DataFrame | None

    @classmethod
    def of(cls, runs: Sequence[Run]) -> "Comparison":
        """Compare runs of the same queries with each other, and rank over benchmarks.

        Raises
        ------
        InputError
            If a file of a run is missing, damaged or of another version; if several benchmarks
            have no router in common.
        """
        benchmarks = by_benchmark(runs)
        pairs = [[Pair.of(own[0], other) for other in own[1:]] for own in benchmarks]
        board = leaderboard([own[-1] for own in benchmarks]) if len(benchmarks) > 1 else None
        return cls(benchmarks, pairs, board)

    def table(self) -> pd.DataFrame:
        """All of it as one long table, a row for each value of each run."""
        parts = [
            part.assign(benchmark=runs[0].record.config.name)
            for runs, pairs in zip(self.benchmarks, self.pairs, strict=True)
            if pairs
            for part in _long(runs, pairs)
        ]
        if self.leaderboard is not None:
            parts.append(self.leaderboard.assign(what="leaderboard"))
        columns = ["what", "benchmark", "level", "dataset", "row", "metric", "run", *BOUNDS]
        columns += [*DIFFERENCE, "paired", "told"]
        return pd.concat(parts, ignore_index=True).reindex(columns=columns)


def _long(runs: Sequence[Run], pairs: Sequence[Pair]) -> Iterator[pd.DataFrame]:
    """The runs of one benchmark as parts of ``Comparison.table``."""
    for run in runs:
        asked = run.decisions[run.decisions["asked"] != ALL_BUDGETS]
        for metric in ADVISED:
            named = {f"{metric}{bound}": name for bound, name in zip(_ENDS, BOUNDS, strict=True)}
            yield pd.DataFrame(
                {
                    "what": "decision",
                    "row": asked["asked"] + " " + asked["amount"],
                    "metric": metric,
                    "run": run.name,
                    "told": [used(row) for _, row in asked.iterrows()],
                    **{name: asked[column] for column, name in named.items()},
                }
            )
    for own in pairs:
        became = own.advice.assign(
            what="decision", metric="change", run=own.second.name, value=own.advice["moved"]
        )
        yield became.assign(row=became["asked"] + " " + became["amount"], told=became["became"])
    for run in runs:
        values = run.main[[*KEYS, *BOUNDS]].assign(what="row", run=run.name)
        for own in (own for own in pairs if own.second is run):
            compared = own.rows.assign(paired=own.pairing.how != "apart")
            values = values.merge(compared, "left", list(KEYS))
        yield values.rename(columns={"router": "row"})
    for own in pairs:
        for one, run in own.runs.items():
            named = {f"{one}{bound}": name for bound, name in zip(_ENDS, BOUNDS, strict=True)}
            values = own.models.rename(columns=named).assign(what="model", run=run.name)
            values = (
                values.assign(paired=True)
                if one == "second"
                else values.drop(columns=list(DIFFERENCE))
            )
            yield values.rename(columns={"model": "row"})
    for own in pairs:
        for one, run in own.runs.items():
            told = own.changes.rename(columns={"about": "level", "key": "row", one: "told"})
            yield told.assign(what="changed", run=run.name)


def by_benchmark(runs: Sequence[Run]) -> list[list[Run]]:
    """Put runs together that have a sample in common, see ``shared``, with the first of them."""
    groups: list[list[Run]] = []
    for run in runs:
        meeting = (own for own in groups if len(shared(own[0].samples, run.samples)[0]))
        own = next(meeting, [])
        own.append(run)
        if len(own) == 1:
            groups.append(own)
    return groups


def shared(first: pd.DataFrame, second: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Where the samples stand in both tables that both have, in the first one's order.

    A sample is the same if its id is, and its data set or else its question and images: a data
    set may be named after a file that is another one each week.
    """
    found = pd.Index(second["sample_id"]).get_indexer(pd.Index(first["sample_id"]))
    rows = np.flatnonzero(found >= 0)
    columns = ["dataset", "question", "image_digest"]
    own, other = (
        table[columns].iloc[at].fillna("").to_numpy()
        for table, at in ((first, rows), (second, found[rows]))
    )
    equal = own == other
    same = equal[:, 0] | (equal[:, 1] & equal[:, 2])
    return rows[same], found[rows[same]]


def pair(first: Run, second: Run, own: tuple[np.ndarray, np.ndarray]) -> Pairing:
    """Say how two runs with some shared samples, as from ``shared``, are to be compared."""
    columns = ["sample_id", "dataset", "group"]
    differing = [
        told
        for told, differs in (
            ("salts", first.salts != second.salts),
            ("seeds", first.record.seeds.seed != second.record.seeds.seed),
            (
                "numbers of resamples",
                first.record.config.resamples != second.record.config.resamples,
            ),
            ("samples or groups", not first.samples[columns].equals(second.samples[columns])),
        )
        if differs
    ]
    if not differing and not first.tested.equals(second.tested):
        differing = ["test splits"]
    if not differing:
        return Pairing("same", "The test samples and their resamples are the same.")
    of = f"The runs have different {' and '.join(differing)}"
    if first.salts != second.salts:
        return Pairing("apart", f"{of}, so that their test splits do not match.")
    if first.in_shards or second.in_shards:
        return Pairing("apart", f"{of}, and are too large to be measured anew.")
    n_tests = min(int(_both_test(first, second, own, salt).sum()) for salt in first.salts)
    if not n_tests:
        return Pairing("apart", f"{of}, and no test sample in common.")
    return Pairing(
        "shared",
        f"{of}: for the differences, both were measured anew on the {n_tests:,} test samples "
        "that both have.",
    )


def _both_test(
    first: Run, second: Run, own: tuple[np.ndarray, np.ndarray], salt: str
) -> np.ndarray:
    """Which of the shared samples both runs test under a salt."""
    tested = (run.tested[salt].to_numpy() for run in (first, second))
    return np.logical_and(*(mask[rows] for mask, rows in zip(tested, own, strict=True)))


@dataclass(frozen=True)
class _Drawn(Setting):
    """A setting with resamples that were drawn elsewhere."""

    drawn: np.ndarray

    def weights(self) -> np.ndarray:
        return self.drawn


def _measures(
    first: Run, second: Run, pairing: Pairing, own: tuple[np.ndarray, np.ndarray]
) -> list[Measure]:
    """How the rows of each run are measured; if anew, under the same resamples."""
    if pairing.how != "shared":
        return [first.replicates, second.replicates]
    samples = first.samples.iloc[own[0]].reset_index(drop=True)
    how = first.record.config.resamples, first.record.seeds.seed
    settings: dict[str, list[tuple[Setting, np.ndarray]]] = {}
    for salt in first.salts:
        tested = _both_test(first, second, own, salt)
        weights = resample_weights(samples, *how, tested)
        settings[salt] = [
            _only(run, salt, rows[tested], weights)
            for run, rows in zip((first, second), own, strict=True)
        ]

    def anew(index: int, run: Run) -> Measure:
        return lambda row, salt: run.measured(row, *settings[salt][index])

    return [anew(index, run) for index, run in enumerate((first, second))]


def _only(run: Run, salt: str, rows: np.ndarray, weights: np.ndarray) -> tuple[Setting, np.ndarray]:
    """The setting of n test samples, with their (1 + B, n) weights, and which these are of all."""
    setting = run.setting(salt)
    kept = np.isin(np.arange(len(run.samples)), rows)
    benchmark = replace(setting.benchmark, in_test=kept)
    how = setting.policy, len(weights) - 1, setting.seed
    drawn = _Drawn(benchmark, *how, weights[:, np.argsort(rows)])
    return drawn, np.flatnonzero(kept[setting.benchmark.in_test])


def compare_rows(
    first: Run, second: Run, pairing: Pairing, own: tuple[np.ndarray, np.ndarray]
) -> pd.DataFrame:
    """Second less first of every value of the main table that both have.

    Returns
    -------
    ``KEYS``, then ``DIFFERENCE``.
    """
    measures = _measures(first, second, pairing, own)
    rows = [None, *(row for row in first.rows if row in second.rows)]
    told = []
    for row in rows:
        before, after = (
            _by_key(
                pd.concat([measure(row, salt).assign(salt=salt) for salt in run.salts]),
                run.scenarios,
            )
            for run, measure in zip((first, second), measures, strict=True)
        )
        told += [
            (*key, *_told(_contrast(before[key], after[key], pairing.how != "apart"), key[-1]))
            for key in before
            if key in after
        ]
    return pd.DataFrame(told, columns=[*KEYS, *DIFFERENCE])


def _by_key(
    replicates: pd.DataFrame, scenarios: Mapping[str, str]
) -> dict[tuple[str, ...], list[np.ndarray]]:
    """The replicates of each value, one of each salt."""
    of_curves = replicates[replicates["point"] == ""]
    averaged = add_macro_averages(of_curves, scenarios)
    return {
        tuple(map(str, key)): list(own)
        for key, own in averaged.groupby(list(KEYS), sort=False)["replicates"]
    }


def _contrast(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], paired: bool
) -> np.ndarray:
    """Replicates of second less first, each of some salts."""
    if paired:
        return over_trainings([*map(difference, second, first)])
    before, after = over_trainings(first), over_trainings(second)
    size = min(len(before), len(after)) - 1
    order = np.random.default_rng(_APART).permutation(len(before) - 1)[:size]
    return difference(
        np.append(after[0], after[1 : 1 + size]), np.append(before[0], before[1:][order])
    )


def _told(differences: np.ndarray, metric: str) -> tuple[float, ...]:
    """What is told of a difference: ``DIFFERENCE``."""
    atoms = record_of(metric).atoms
    own = spread([differences], atoms, compared=True)
    return (*(own[name] for name in BOUNDS), p_value(differences, atoms))


def compare_models(first: Run, second: Run, own: tuple[np.ndarray, np.ndarray]) -> pd.DataFrame:
    """Each model that both runs have on the samples that both have, train and test.

    Returns
    -------
    A row per data set, model and metric, ``accuracy`` or ``cost_usd_per_1000``: ``dataset``,
    ``full`` for all, ``model``, ``metric``, ``samples`` on which both have an outcome;
    ``first``, ``second``, each with bounds ``_low`` and ``_high``, there; ``DIFFERENCE``, paired.
    """
    tables = [run.outcomes.take(rows) for run, rows in zip((first, second), own, strict=True)]
    names = [name for name in tables[0].model_names if name in tables[1].model_names]
    tables = [
        table.take(columns=[table.model_names.index(one) for one in names]) for table in tables
    ]
    both = np.isfinite(tables[0].utility) & np.isfinite(tables[1].utility)
    samples = tables[0].samples
    how = first.record.config.resamples, first.record.seeds.seed
    sums: dict[str, dict[str, np.ndarray]] = {"full": {}}
    for dataset, rows in rows_by_label(samples["dataset"]).items():
        members, groups = pd.factorize(samples["group"].iloc[rows])
        blocks = {
            f"{index} {name}": block
            for index, table in enumerate(tables)
            for name, block in single_blocks(
                np.where(both, table.utility, np.nan)[rows], table.cost[rows]
            ).items()
        }
        drawn = weight_blocks(dataset, np.ones(len(groups), bool), members, *how)
        sums[dataset] = add_up(blocks, drawn)
        for name, more in sums[dataset].items():
            accumulate(sums["full"], name, more)
    told = []
    for dataset, parts in sums.items():
        for index, name in enumerate(names):
            for metric, part, unit in (
                ("accuracy", "utility", 1),
                ("cost_usd_per_1000", "cost", 1000),
            ):
                with np.errstate(invalid="ignore"):
                    before, after = (
                        unit * parts[f"{run} single_{part}"][index] / parts["0 single_count"][index]
                        for run in range(2)
                    )
                told.append(
                    {"dataset": dataset, "model": name, "metric": metric}
                    | {"samples": int(parts["0 single_count"][index, 0])}
                    | _bounded("first", before)
                    | _bounded("second", after)
                    | dict(zip(DIFFERENCE, _told(after - before, metric), strict=True))
                )
    values = [f"{one}{bound}" for one in ("first", "second") for bound in _ENDS]
    return pd.DataFrame(
        told, columns=["dataset", "model", "metric", "samples", *values, *DIFFERENCE]
    )


def _bounded(name: str, replicates: np.ndarray) -> dict[str, float]:
    told = spread([replicates])
    return {name: told["value"], f"{name}_low": told["low"], f"{name}_high": told["high"]}


def compare_advice(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """What is advised for each thing that both runs were asked.

    Parameters
    ----------
    first, second
        As ``Run.decisions``.

    Returns
    -------
    ``asked``, ``amount``; ``first``, ``second``: what to run, in words; ``became``: ``SAME``,
    ``MOVED`` or ``CHANGED``; ``moved``: the share of the traffic that goes to another model;
    ``accuracy`` and ``cost_usd_per_1000``: the difference where the two intervals do not meet,
    else 0.
    """
    before, after = (
        {
            (row["asked"], row["amount"]): row
            for _, row in one[one["asked"] != ALL_BUDGETS].iterrows()
        }
        for one in (first, second)
    )
    return pd.DataFrame(
        [
            {"asked": key[0], "amount": key[1]}
            | _became(before[key], after[key])
            | {name: _beyond(before[key], after[key], name) for name in ADVISED}
            for key in before
            if key in after
        ],
        columns=["asked", "amount", "first", "second", "became", "moved", *ADVISED],
    )


def _became(before: pd.Series, after: pd.Series) -> dict[str, Any]:
    shares = pd.concat(
        [
            row[[name for name in row.index if name.startswith(SHARE)]].astype(float)
            for row in (before, after)
        ],
        axis=1,
    ).fillna(0)
    moved = float(shares.iloc[:, 0].sub(shares.iloc[:, 1]).abs().sum() / 2)
    became = CHANGED
    if _kind(before) == _kind(after):
        became = MOVED if moved > LEAST_NAMED else SAME
    return {"first": used(before), "second": used(after), "became": became, "moved": moved}


def _kind(row: pd.Series) -> tuple[str, ...]:
    """The router that is advised, or the models that are mixed."""
    if isinstance(row["router"], str) and row["router"]:
        return ("router", row["router"])
    shares = {row["first"]: 1 - row["second_share"], row["second"]: row["second_share"]}
    return ("models", *sorted(str(name) for name, share in shares.items() if share))


def _beyond(before: pd.Series, after: pd.Series, name: str) -> float:
    low, high = f"{name}_low", f"{name}_high"
    meet = not (after[low] > before[high] or after[high] < before[low])
    return 0.0 if meet else float(after[name] - before[name])


def changes(first: Run, second: Run) -> pd.DataFrame:
    """What two runs were made of, where it differs.

    Returns
    -------
    ``about``: ``config``, ``models``, ``prices``, ``data`` or ``code``; ``key``; ``first`` and
    ``second``, empty where the one has nothing of it.
    """
    described = [_described(run) for run in (first, second)]
    keys = list(dict.fromkeys([*described[0], *described[1]]))
    told = [(*key, *(own.get(key, "") for own in described)) for key in keys]
    return pd.DataFrame(
        [row for row in told if row[2] != row[3]], columns=["about", "key", "first", "second"]
    )


def _described(run: Run) -> dict[tuple[str, str], str]:
    record, models = run.record, run.models
    priced = [name for name in (*PRICE_COLUMNS, PER_CALL) if name in models]
    said = {("config", key): text for key, text in _flat(run.config) if key != "name"}
    said |= {("models", name): f"costs from {models['cost_from'][name]}" for name in models.index}
    said |= {
        ("prices", f"{name}: {column}"): f"{models[column][name]:g}"
        for name in models.index
        for column in priced
        if np.isfinite(models[column][name])
    }
    said |= {("prices", path): _short(digest) for path, digest in record.data.prices.items()}
    for own in record.data.datasets:
        said[("data", f"{own.name}: samples")] = f"{own.samples:,}"
        parts = {
            "ids, scenarios and groups": own.split,
            "texts": own.text,
            "images": own.image,
            "everything, with outcomes": own.all,
        }
        said |= {("data", f"{own.name}: {part}"): _short(one) for part, one in parts.items()}
    said |= {("code", key): text for key, text in _flat({**record.versions, "code": record.code})}
    return said


def _short(digest: str) -> str:
    return f"digest {digest[:12]}"


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each value of nested mappings, as text, with its keys joined by dots."""
    if isinstance(value, list) and any(isinstance(own, Mapping) for own in value):
        value = dict(enumerate(value))
    if isinstance(value, Mapping) and value:
        for name, own in value.items():
            yield from _flat(own, f"{key}.{name}".removeprefix("."))
    else:
        yield key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def leaderboard(runs: Sequence[Run]) -> pd.DataFrame:
    """Rank the routers that all runs have, each run of a benchmark of its own.

    Returns
    -------
    A row per router and metric: at level ``all benchmarks`` ``rank``, the mean of its ranks by
    ``RANKED`` (1 is the best), and ``GAINED``, the mean, of routers that all runs have; at level
    ``benchmark`` both for each ``run``, of all. ``level``, ``benchmark`` (the name in its config),
    ``row``, ``metric``, ``run``; ``value``, ``low``, ``high``; ``p_value`` of a gain being 0.
    Resamples of benchmarks are independent.

    Raises
    ------
    InputError
        If no router is in all runs.
    """
    measured = [_on_all(run) for run in runs]
    common = [row for row in measured[0] if all(row in own for own in measured)]
    if not common:
        raise InputError(
            f"{' and '.join(str(run.folder) for run in runs)}: different benchmarks, and no router "
            "is in all of them; compare runs that have a row in common"
        )
    ranks = [_ranks([own[row][RANKED] for row in common]) for own in measured]
    rows = []
    for index, row in enumerate(common):
        both = (
            ("rank", [own[index] for own in ranks]),
            (GAINED, [own[row][GAINED] for own in measured]),
        )
        rows += [_placed("all benchmarks", row, name, _mean(own)) for name, own in both]
    for run, own, ranked in zip(runs, measured, ranks, strict=True):
        where = {"run": run.name, "benchmark": run.record.config.name}
        rows += [
            _placed("benchmark", row, "rank", ranked[index]) | where
            for index, row in enumerate(common)
        ]
        rows += [_placed("benchmark", row, GAINED, own[row][GAINED]) | where for row in own]
    return pd.DataFrame(rows)


def _on_all(run: Run) -> dict[str, dict[str, np.ndarray]]:
    """The replicates of ``RANKED`` and ``GAINED`` on all test samples, of rows that have both."""
    told = {}
    for row in (row for row in run.rows if row not in REFERENCES):
        stored = pd.concat([run.replicates(row, salt) for salt in run.salts])
        full = stored[(stored["level"] == "full") & (stored["point"] == "")]
        own = {
            metric: over_trainings([*full["replicates"][full["metric"] == metric]])
            for metric in (RANKED, GAINED)
        }
        if all(np.isfinite(values[0]) for values in own.values()):
            told[row] = own
    return told


def _ranks(replicates: Sequence[np.ndarray]) -> np.ndarray:
    """The (R, 1 + B) ranks of R routers in each resample; one without a value is the last."""
    values = np.nan_to_num(np.stack(list(replicates)), nan=-np.inf)
    return rankdata(-values, axis=0)


def _mean(replicates: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over benchmarks, whose resamples are independent."""
    size = min(map(len, replicates)) - 1
    generator = np.random.default_rng(_APART)
    drawn = [own[1:][generator.permutation(len(own) - 1)[:size]] for own in replicates]
    return np.append(np.mean([own[0] for own in replicates]), np.mean(drawn, axis=0))


def _placed(level: str, row: str, metric: str, replicates: np.ndarray) -> dict[str, Any]:
    own = spread([replicates], metric == "rank", metric == GAINED)
    told = {"level": level, "row": row, "metric": metric, **{name: own[name] for name in BOUNDS}}
    return told | ({"p_value": p_value(replicates)} if metric == GAINED else {})
