"""Check CUDA beside the CPU, and how busy embedding keeps the card: `python tests/gpu`.

Prints two Markdown tables; exit code 1 unless all holds, 77 where there is no card.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from parity import compare
from throughput import LEAST_SHARE, SPARE, Throughput, measure
from written import TINY, image_towers, write_images, write_model

NOT_RUN = 77


def throughputs(folder: Path, rehearsed: bool) -> Iterator[Throughput]:
    """Measure model after model, until the cores can keep the forward pass of one busy."""
    threads = len(os.sched_getaffinity(0))
    images = write_images(folder, 64)
    for model, config in ({"tiny": TINY} if rehearsed else image_towers()).items():
        measured = measure(
            model, write_model(folder, model, config), images, threads, 0 if rehearsed else 20
        )
        yield measured
        if measured.fed:
            return


def check(folder: Path, rehearsed: bool) -> bool:
    """Print a row for each check, and return whether all held."""
    print("| computed | largest difference | at most | on the card | held |")
    print("| --- | ---: | ---: | --- | --- |")
    held = []
    for parity in compare(folder):
        held.append(parity.held and (parity.on_card or rehearsed))
        print(
            f"| {parity.name} | {parity.difference:.1e} | {parity.tolerance:.0e} "
            f"| {told(parity.on_card)} | {told(held[-1])} |",
            flush=True,
        )
    print("\n| images a second | forward pass alone | prepared by all cores | embedded | share |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for measured in throughputs(folder, rehearsed):
        print(
            f"| {measured.model} | {measured.forward:,.0f} | {measured.prepared:,.0f} "
            f"| {measured.embedded:,.0f} | {measured.share:.3f} |",
            flush=True,
        )
    if rehearsed:
        print("\nWhat this says of a card: nothing.")
        return all(held)
    print(f"\nEmbedding must reach {LEAST_SHARE} of the last model's forward pass: ", end="")
    print(
        told(measured.held)
        if measured.fed
        else f"not shown, as the cores do not prepare {SPARE} times what it takes"
    )
    return all([*held, measured.held])


def told(held: bool) -> str:
    """Return what a table says."""
    return "yes" if held else "no"


def main() -> None:
    """Check where there is a card; without one only a rehearsal goes on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="run all of it on the CPU, with a tiny model, to see that the script works",
    )
    rehearsed = parser.parse_args().rehearse
    if rehearsed:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif not torch.cuda.is_available():
        print("NOT RUN: no CUDA device", file=sys.stderr)
        sys.exit(NOT_RUN)
    begin = time.monotonic()
    card = "no card: a rehearsal on the CPU" if rehearsed else torch.cuda.get_device_name()
    print(f"{card}; {len(os.sched_getaffinity(0))} cores; torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as folder:
        held = check(Path(folder), rehearsed)
    print(f"{time.monotonic() - begin:.0f} s")
    sys.exit(not held)


if __name__ == "__main__":
    main()
