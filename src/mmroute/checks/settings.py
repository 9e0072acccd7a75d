"""What a config asks for, beside what there is: checkpoints, outcomes, experiments."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mmroute.catalogue import build, find
from mmroute.checks.reading import other_share
from mmroute.checks.remark import Level, Remark, counted, flow, pool_line, stopping, with_close
from mmroute.config import TRUNK, Config, Named
from mmroute.decision.rule import Labels
from mmroute.errors import InputError
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.pool import cost_unit, require_latencies
from mmroute.outcomes.splits import salts_of

FEWEST_TEST_SAMPLES = 100


def checkpoints(config: Config, found: list[Remark]) -> None:
    """Look for the files that encoders and fine-tuned routers name."""
    named = {
        f"encoders: {{..., {modality}: builtin}}": encoder
        for modality, encoder in (("text", config.encoders.text), ("image", config.encoders.image))
        # One without parameters names nothing.
        if encoder.parameters
    }
    for row, router in config.routers.items():
        if router.encoder:
            named[f"routers: {{..., {flow(row)}: {{..., pretrained: openai}}}}"] = router.encoder
    for line, encoder in named.items():
        with stopping(found, line):
            build("encoders", encoder.name, encoder.parameters).fingerprint()


def choices(config: Config, by_salt: Mapping[str, Benchmark], found: list[Remark]) -> None:
    """Read what routers from elsewhere chose, under each salt."""
    for row in config.elsewhere:
        router = build("routers", config.routers[row].name, config.routers[row].parameters)
        said: dict[str, None] = {}
        for salt, benchmark in by_salt.items():
            with stopping(found), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                thresholds, chosen = router.read(benchmark)
                has = (chosen >= 0).any(axis=0)
                parts = [
                    f"{int(has[rows].sum()):,} of {counted(int(rows.sum()), f'{part} sample')}"
                    for part, rows in (
                        ("test", benchmark.in_test),
                        ("training", benchmark.in_train),
                    )
                ]
                message = f"{row}: choices for {' and '.join(parts)} (salt {salt}), at "
                found.append(Remark("note", message + counted(len(thresholds), "operating point")))
            said |= dict.fromkeys(str(one.message) for one in caught)
        found += [Remark("warning", line) for line in said]


def benchmarks(table: OutcomeTable, splits: pd.DataFrame) -> dict[str, Benchmark]:
    """Return by salt what a run would train and test on."""
    observed = np.isfinite(table.utility).any(axis=1)
    unit = cost_unit(table.cost)
    masks = {str(salt): mask.to_numpy() for salt, mask in salts_of(splits).items()}
    return {
        salt: Benchmark(table, unit, train & observed, ~train & observed)
        for salt, train in masks.items()
    }


def unmeasured(by_salt: Mapping[str, Benchmark]) -> Iterator[Remark]:
    """Look for models and splits without outcomes; training refuses such a model."""
    parts: tuple[tuple[Level, str, str], ...] = (
        ("error", "training", "in_train"),
        ("warning", "test", "in_test"),
    )
    for level, part, rows in parts:
        for salt, benchmark in by_salt.items():
            table, inside = benchmark.table, getattr(benchmark, rows)
            names = np.array(table.model_names)
            seen = np.isfinite(table.utility[inside]).any(axis=0)
            message = f"no outcome in the {part} split (salt {salt})"
            if not inside.any():
                yield Remark("error", message, "add outcomes")
            elif not seen.all():
                left = pool_line(names[seen].tolist())
                yield Remark(level, f"{message}: {', '.join(names[~seen])}", left)


def settings(config: Config, pool: list[str], by_salt: Mapping[str, Benchmark]) -> Iterator[Remark]:
    """Compare the split, the pool and the what-if prices with what there is."""
    samples = next(iter(by_salt.values())).table.samples
    tested = min(int(benchmark.in_test.sum()) for benchmark in by_salt.values())
    if tested < FEWEST_TEST_SAMPLES:
        yield Remark(
            "warning",
            f"the test split has {counted(tested, 'sample')}: intervals will be wide",
            other_share(config, samples, FEWEST_TEST_SAMPLES) or "add samples",
        )
    if len(pool) == 1:
        yield Remark(
            "warning",
            f"there is one model, {pool[0]}, and nothing to choose",
            "pool: null" if config.pool else "add models to the source",
        )
    factors = config.decision.what_if_prices
    rest = flow({name: factor for name, factor in factors.items() if name in pool})
    for model in [name for name in factors if name not in pool]:
        message = f"decision.what_if_prices: no model {with_close(model, pool)} in the pool"
        yield Remark("error", message, f"decision: {{..., what_if_prices: {rest}}}")
    blind = config.decision.blind
    known = flow([name for name in blind if name in pool])
    for model in [name for name in blind if name not in pool]:
        message = f"decision.blind: no model {with_close(model, pool)} in the pool"
        yield Remark(
            "warning", f"{message}, and export refuses it", f"decision: {{..., blind: {known}}}"
        )


def latencies(config: Config, first: Benchmark) -> Iterator[Remark]:
    """Say which models the decision leaves out as too slow, under the first salt."""
    asked = config.decision
    if asked.max_latency is None:
        return
    table = first.observed if asked.labels == "all" else first.train
    try:
        require_latencies(table)
    except InputError as error:
        yield Remark.of(error, "decision: {..., max_latency: null}")
        return
    n_queries = len((first.observed if asked.labels == "all" else first.test).samples)
    labels = Labels.of(table, n_queries)
    _, others = labels.candidates(asked.max_latency, table.model_names)
    limit = f"decision.max_latency: not surely within {asked.max_latency:g} s on average"
    if not labels.within(asked.max_latency).any():
        yield Remark("warning", f"{limit} is any model, and the fastest is taken: {others}")
    elif others:
        yield Remark("note", f"{limit}, and left out of the decision: {others}")


def experiments(
    config: Config, first: Benchmark, text_only: OutcomeTable | None
) -> Iterator[Remark]:
    """Look for experiments that would stop the run or show nothing, under the first salt."""
    for row, asked in config.experiments.items():
        if row == TRUNK:
            continue
        others = {
            name: written(name, one) for name, one in config.experiments.items() if name != row
        }
        line = f"experiments: {flow(others)}"
        compares = find("experiments", asked.name).attributes.get("fusions")
        if compares and first.table.samples["image"].isna().all():
            message = f"{row}: no sample has an image, so there is nothing to compare"
            yield Remark("warning", message, line)
        try:
            problems = build("experiments", asked.name, asked.parameters).problems
            for level, message in problems(first, text_only):
                yield Remark(level, message, line if level == "warning" else "")
        except InputError as error:
            yield Remark.of(error, line)


def written(row: str, experiment: Named) -> dict[str, Any]:
    """A row of ``experiments`` as a config would give it, without what it need not say."""
    if row == TRUNK:
        return {}
    given = {} if experiment.name == row else {"class": experiment.name}
    defaults = find("experiments", experiment.name).parameters
    return given | {
        name: value for name, value in experiment.parameters.items() if value != defaults[name][1]
    }
