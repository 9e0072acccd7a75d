"""A source's fingerprint changes with what is read, and with nothing that lies beside it."""

import json
import os
import warnings
from contextlib import suppress

import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.known_files import KnownFiles
from mmroute.sources.lmms_eval import LmmsEval
from mmroute.sources.mmr_release import MmrRelease
from mmroute.sources.routerbench import RouterBench
from mmroute.sources.table import TableSource
from mmroute.sources.vl_release import VlRelease
from mmroute.sources.vlmevalkit import Vlmevalkit

PIXELS = b"\x89PNG\r\n\x1a\n one"
NAMED = ["d/1.png", "d/2.png"]


def table(folder, shape="csv"):
    rows = {"sample_id": ["1", "2"], "model": "m", "utility": [1, 0], "cost": 1, "image": NAMED}
    path = folder / f"t.{shape}"
    frame = pd.DataFrame(rows)
    frame.to_csv(path, index=False) if shape == "csv" else frame.to_parquet(path)
    return TableSource(str(path)), path, folder


def samples(folder):
    rows = {"sample_id": ["1", "2"], "model": "m", "utility": [1, 0], "cost": 1}
    pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
    pd.DataFrame({"sample_id": ["1", "2"], "image": NAMED}).to_csv(folder / "s.csv", index=False)
    return TableSource(f"{folder}/t.csv", samples=f"{folder}/s.csv"), folder / "s.csv", folder


def mmr_release(folder, column="img_path"):
    cells = {"img_path": NAMED} if column else {}
    rows = {"dataset_idx": ["d_1", "d_2"], "question": "?", "m_correct": 1, "m_cost": 1, **cells}
    pd.DataFrame(rows).to_csv(folder / "MMR_Bench.csv", index=False)
    return MmrRelease(str(folder)), folder / "MMR_Bench.csv", folder


def lmms_eval(folder):
    log = folder / "model/2024_samples_task.jsonl"
    log.parent.mkdir()
    lines = [{"doc_id": n, "acc": 1, "input": "?", "doc": {"image": n}} for n in NAMED]
    log.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return LmmsEval(str(folder)), log, folder


def judged(folder):
    folder.mkdir(parents=True)
    rows = {"index": [1, 2], "question": "?", "prediction": "A", "hit": 1}
    path = folder / f"{folder.name}_MMStar_openai_result.tsv"
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    return path


def image_table(path):
    path.parent.mkdir()
    frame = pd.DataFrame({"index": [1, 2], "image_path": NAMED})
    frame.to_csv(path, sep="\t", index=False)
    return path.parent


def vlmevalkit(folder):
    log = judged(folder / "GPT")
    return Vlmevalkit(str(folder)), log, image_table(folder / "LMUData/MMStar.tsv")


def vl_release(folder):
    log = judged(folder / "VLMEvalKit_evaluation/GPT")
    return VlRelease(str(folder)), log, image_table(folder / "TSV_images/MMStar.tsv")


@pytest.fixture(
    params=[
        table,
        lambda folder: table(folder, "parquet"),
        samples,
        mmr_release,
        lambda folder: mmr_release(folder, column=None),
        lmms_eval,
        vlmevalkit,
        vl_release,
    ],
    ids=["csv", "parquet", "samples", "mmr", "mmr by id", "lmms_eval", "vlmevalkit", "vl"],
)
def source(request, tmp_path):
    """Return a source of two samples, its file, and the folder of its one image."""
    folder = tmp_path / "work"
    folder.mkdir()
    made, file, images = request.param(folder)
    (images / "d").mkdir()
    (images / NAMED[0]).write_bytes(PIXELS)
    return made, file, images


def read(source, scratch):
    """Return how many images are read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return int(source.read(source.fetch(scratch)).samples["image"].notna().sum())


def strew(folder):
    """Put beside the data what no data name."""
    (folder / "caf\udce9.png").write_bytes(PIXELS)
    (folder / "caf\udce9").mkdir()
    (folder / "caf\udce9/9.png").write_bytes(PIXELS)
    (folder / "gone.png").symlink_to("nowhere")
    (folder / "circle").symlink_to(folder)
    (folder / "folder.png").mkdir()
    (folder / "other.png").write_bytes(PIXELS)
    (folder / "results/own/figures").mkdir(parents=True)
    (folder / "results/own/figures/fig4.png").write_bytes(PIXELS)
    for name in ("fifo.png", "fifo.tsv", "fifo.jsonl", "fifo.pkl"):
        os.mkfifo(folder / name)


def test_what_lies_beside_the_data_changes_nothing_and_stops_nothing(source, tmp_path):
    made, file, images = source
    before = made.fingerprint()
    for folder in {images, images / "d", file.parent, tmp_path / "work"}:
        strew(folder)
    assert made.fingerprint() == before
    assert read(made, tmp_path / "fetched") == 1


def rewritten(path, content):
    """Write other content of the same size, and set the time back."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        lambda images: (images / NAMED[0]).write_bytes(b"another"),
        lambda images: rewritten(images / NAMED[0], PIXELS.replace(b"one", b"two")),
        lambda images: (images / NAMED[0]).unlink(),
        lambda images: (images / NAMED[1]).write_bytes(PIXELS),
    ],
    ids=["changed", "changed unseen", "removed", "added"],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_a_named_image_that_changes_comes_or_goes_is_seen(source, tmp_path, change, is_known):
    made, _, images = source

    def fingerprint():
        known = KnownFiles(tmp_path / "known.json" if is_known else None)
        try:
            return made.fingerprint(known)
        finally:
            known.keep()

    before = fingerprint()
    change(images)
    assert fingerprint() != before


def test_a_log_or_table_that_changes_is_seen(source):
    made, file, _ = source
    before = made.fingerprint()
    content = file.read_bytes()
    rewritten(file, content[:-1] + b" ")
    # A Parquet file without its end is refused.
    with suppress(InputError):
        assert made.fingerprint() != before
    rewritten(file, content)
    assert made.fingerprint() == before


def test_a_touch_changes_nothing(source):
    made, file, images = source
    before = made.fingerprint()
    for path in (file, images / NAMED[0]):
        os.utime(path, (1, 1))
    assert made.fingerprint() == before


def test_a_release_looks_at_its_own_files_only(tmp_path):
    pd.DataFrame({"sample_id": ["1"]}).to_pickle(tmp_path / "routerbench_0shot.pkl")
    made = RouterBench(str(tmp_path))
    before = made.fingerprint()
    strew(tmp_path)
    assert made.local_files() == [tmp_path / "routerbench_0shot.pkl"]
    assert made.fingerprint() == before
