"""Let faults happen to runs and inputs: `python tests/faults --kills 20 --exports 300 --seed 0`.

Prints how many of each kind were tried and survived; exit code 1 unless all were survived.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path

import exports
import mutations
import sources
from disk import CASES, examine
from kills import kill
from mutations import Outcome
from small_run import Tally, Undisturbed, total

BLOCK = 25
"""Inputs that are told of at once."""


def examine_all(what: str, outcomes: Iterator[Outcome]) -> Iterator[Tally]:
    """Count inputs; one survives if it is handled rightly or refused in one line."""
    while block := list(islice(outcomes, BLOCK)):
        failures = tuple(
            f"{what} {outcome.seed}: {outcome.what}: {outcome.message}"
            for outcome in block
            if outcome.kind == "failed"
        )
        yield Tally(len(block), len(block) - len(failures), failures)


def tallies(folder: Path, asked: argparse.Namespace) -> Iterator[tuple[str, Tally]]:
    """Yield each kind of fault with its tally, as soon as it is known."""
    whole = Undisturbed(folder / "undisturbed")
    print(f"an undisturbed run: {whole.seconds:.0f} s, {len(whole.metrics)} metric files")
    killed = kill(folder / "run", whole, asked.kills, asked.seed)
    yield "workflow killed", total(killed, "kills", asked.kills)
    for kind, cases in groupby(CASES, lambda case: case.kind):
        listed = list(cases)
        counted = (examine(case, folder / "run", whole) for case in listed)
        yield kind, total(counted, kind, len(listed))
    for kind, script, count in (
        ("input mutated", mutations, asked.mutations),
        ("export hostile", exports, asked.exports),
        ("source hostile", sources, asked.sources),
    ):
        outcomes = script.run(range(asked.seed, asked.seed + count))
        yield kind, total(examine_all(kind, outcomes), kind, count)


def main() -> None:
    """Try as many as asked, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--mutations", type=int, default=300)
    parser.add_argument("--exports", type=int, default=1000)
    parser.add_argument("--sources", type=int, default=1100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = dict(tallies(Path(name), asked))
    for tally in found.values():
        print(*tally.failures, sep="\n", end="\n" if tally.failures else "", file=sys.stderr)
    print("\n| fault | tried | survived |\n| --- | ---: | ---: |")
    for kind, tally in found.items():
        print(f"| {kind} | {tally.tried} | {tally.survived} |")
    sys.exit(any(tally.survived < tally.tried for tally in found.values()))


if __name__ == "__main__":
    main()
