"""What a run was made from decides whether it is up to date, wherever it lies."""

import os
import shutil
from contextlib import ExitStack, contextmanager

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from mmroute.cli import app
from mmroute.settling import NOT_PLANNED

pytestmark = pytest.mark.slow

SAMPLES = 40
CONFIG = {
    "name": "own",
    "source": {"kind": "table", "path": "own.csv", "prices": "prices.csv"},
    "routers": {"cheapest": {}},
    "decision": {"router": "cheapest", "labels": "train"},
    "studied": ["knn"],
    "shrink": False,
    "resamples": 100,
}
READ_ANEW = {"Fetching the data", "Reading outcomes, questions and images"}
SMALL_TARGET = "results/own/outcomes"


def write_data(folder):
    """Write a table in the working folder that names one picture which is not there."""
    (folder / "pictures").mkdir()
    rows = []
    for number in range(SAMPLES):
        if number:
            image = Image.new("RGB", (20, 20), (number * 5, 0, 0))
            image.save(folder / f"pictures/{number}.png", compress_level=0)
        rows += [
            {
                "sample_id": f"s{number}",
                "dataset": "sums",
                "question": f"What is {number}?",
                "image": f"pictures/{number}.png",
                "model": model,
                "utility": number % weight,
                "prompt_tokens": 10,
                "completion_tokens": weight,
            }
            for model, weight in (("small{x}", 2), ("large", 1))
        ]
    table = pd.DataFrame(rows)
    table["utility"] = (table["utility"] > 0).astype(int)
    table.to_csv(folder / "own.csv", index=False)
    prices = {"model": ["small{x}", "large"], "usd_per_1m_prompt_tokens": [1, 9]}
    prices["usd_per_1m_completion_tokens"] = prices["usd_per_1m_prompt_tokens"]
    pd.DataFrame(prices).to_csv(folder / "prices.csv", index=False)


def strew(folder):
    """Put beside the table what no row names."""
    (folder / "caf\udce9.png").write_bytes(b"no picture")
    (folder / "gone.png").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.png")


@pytest.fixture(scope="module")
def own(make_checkout):
    checkout = make_checkout()
    write_data(checkout.folder)
    strew(checkout.folder)
    checkout.run(CONFIG)
    return checkout


@contextmanager
def changed(path, change):
    """Change a file, and put all back: its content, its time, or that it is not there."""
    keep = path.with_name(f"{path.name}.keep")
    if path.exists():
        shutil.copy2(path, keep)
    try:
        change(path)
        yield
    finally:
        path.unlink(missing_ok=True)
        if keep.exists():
            keep.replace(path)


def flip(path):
    """Change one byte, near the end, and neither size nor time."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_second_run_beside_its_own_results_does_nothing(own):
    assert (own.folder / "results/own/figures/fig4.png").is_file()
    assert own.run(CONFIG) == set()
    (own.folder / "results/own/.inputs.json").unlink()
    assert own.planned(CONFIG) == set()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("own.csv", flip),
        ("pictures/1.png", flip),
        ("pictures/0.png", lambda path: path.write_bytes(b"there now")),
    ],
)
def test_what_the_data_name_is_read_again_when_it_changes(own, name, change):
    with changed(own.folder / name, change):
        assert own.planned(CONFIG) >= READ_ANEW


def test_a_picture_that_no_row_names_is_nothing(own):
    with ExitStack() as stack:
        for name in ("more.png", "pictures/more.png", "results/own/more.png"):
            picture = own.folder / name
            stack.enter_context(changed(picture, lambda path: path.write_bytes(b"more")))
        assert own.planned(CONFIG) == set()


def test_a_price_that_changes_unseen_prices_anew(own):
    with changed(own.folder / "prices.csv", flip):
        assert "Building the outcome table: pool, prices, costs" in own.planned(CONFIG)


@pytest.fixture
def moved(own, make_checkout):
    """Return another checkout with a copy of data and results, without Snakemake's records."""
    checkout = make_checkout()
    write_data(checkout.folder)
    checkout.kept = own.folder / "results"
    shutil.copytree(checkout.kept, checkout.folder / "results")
    return checkout


def test_moved_results_are_up_to_date_as_long_as_all_else_is_the_same(moved):
    assert moved.planned(CONFIG) == set()
    assert moved.planned(CONFIG) == set()
    flip(moved.folder / "own.csv")
    name = moved.write_config(CONFIG)
    result = moved.snakemake("--dry-run", "--configfile", name)
    assert "results/own: came here without .snakemake, and is not what" in result.stderr
    assert f"; {NOT_PLANNED}\n" in result.stderr
    assert moved.run(CONFIG, SMALL_TARGET) >= READ_ANEW
    # Broken off there, the rest is made anew all the same.
    assert {"Training cheapest (salt 0)", "Rendering the report"} <= moved.planned(CONFIG)


def test_moved_results_of_another_config_or_other_code_are_made_anew(moved):
    code = moved.folder / "src/mmroute/evaluation/curve.py"
    with changed(code, lambda path: path.write_text(path.read_text() + "\nassert True\n")):
        assert moved.run(CONFIG, SMALL_TARGET) >= READ_ANEW
    shutil.rmtree(moved.folder / "results")
    shutil.copytree(moved.kept, moved.folder / "results")
    assert moved.run(CONFIG | {"seed": 1}, SMALL_TARGET) >= READ_ANEW


def test_verify_compares_the_inputs_too(own):
    def verify(*options):
        results = str(own.folder / "results/own")
        return CliRunner().invoke(app, ["verify", results, *options])

    assert verify("--inputs").exit_code == 0
    with changed(own.folder / "pictures/1.png", flip), changed(own.folder / "own.csv", os.unlink):
        assert verify().exit_code == 0
        result = verify("--inputs")
    assert result.exit_code == 2
    assert "missing: own.csv\nchanged: pictures/1.png\n" in result.stdout
    assert result.stdout.endswith("mmroute run CONFIG --forcerun fetch\n")
    with changed(own.folder / "prices.csv", flip):
        assert verify("--inputs").stdout.endswith("--forcerun outcomes\n")


def test_any_folder_may_hold_the_data_and_the_run(make_checkout, tmp_path):
    folder = tmp_path / 'it\'s {x} "$HOME" {{y}}\n: `%'
    folder.mkdir()
    write_data(folder)
    (folder / "{w}").mkdir()
    (folder / "prices.csv").rename(folder / "{w}/prices.csv")
    checkout = make_checkout()
    source = CONFIG["source"] | {"prices": "{w}/prices.csv", "path": str(folder / "own.csv")}
    checkout.write_config(CONFIG | {"source": source, "pool": ["large", "small{x}"]})
    arguments = ("--directory", str(folder), "--cores", "2", "--configfile", "my.yaml")
    result = checkout.snakemake(SMALL_TARGET, *arguments)
    assert result.returncode == 0, result.stderr[-4000:]
    result = checkout.snakemake(SMALL_TARGET, *arguments)
    assert "Nothing to be done" in result.stdout + result.stderr
