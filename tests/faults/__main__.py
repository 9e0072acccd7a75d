"""Let faults happen to runs and inputs: `python tests/faults --kills 20 --mutations 300 --seed 0`.

Prints how many of each kind were tried and survived; exit code 1 unless all were survived.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path

import mutations
from disk import CASES, examine
from kills import kill
from small_run import Tally, Undisturbed, total

BLOCK = 25
"""Mutations that are told of at once."""


def mutate(count: int, seed: int) -> Iterator[Tally]:
    """Examine mutated inputs; one survives if it is handled rightly or refused in one line."""
    outcomes = mutations.run(range(seed, seed + count))
    while block := list(islice(outcomes, BLOCK)):
        failures = tuple(
            f"mutation {outcome.seed}: {outcome.what}: {outcome.message}"
            for outcome in block
            if outcome.kind == "failed"
        )
        yield Tally(len(block), len(block) - len(failures), failures)


def tallies(folder: Path, kills: int, count: int, seed: int) -> Iterator[tuple[str, Tally]]:
    """Yield each kind of fault with its tally, as soon as it is known."""
    whole = Undisturbed(folder / "undisturbed")
    print(f"an undisturbed run: {whole.seconds:.0f} s, {len(whole.metrics)} metric files")
    yield "workflow killed", total(kill(folder / "run", whole, kills, seed), "kills", kills)
    for kind, cases in groupby(CASES, lambda case: case.kind):
        listed = list(cases)
        counted = (examine(case, folder / "run", whole) for case in listed)
        yield kind, total(counted, kind, len(listed))
    yield "input mutated", total(mutate(count, seed), "mutations", count)


def main() -> None:
    """Try as many as asked, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--mutations", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = dict(tallies(Path(name), asked.kills, asked.mutations, asked.seed))
    for tally in found.values():
        print(*tally.failures, sep="\n", end="\n" if tally.failures else "", file=sys.stderr)
    print("\n| fault | tried | survived |\n| --- | ---: | ---: |")
    for kind, tally in found.items():
        print(f"| {kind} | {tally.tried} | {tally.survived} |")
    sys.exit(any(tally.survived < tally.tried for tally in found.values()))


if __name__ == "__main__":
    main()
