import hashlib
import io
import itertools
import json
import resource
import tarfile
import time
from email.utils import formatdate

import huggingface_hub
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.hub import download
from mmroute.sources.mmr_release import MmrRelease

pytestmark = pytest.mark.slow

REPO = "someone/release"
PAUSES = (0.01, 0.02, 0.04, 0.08)
ATTEMPTS = 5
CSV = (
    b"dataset_idx,question,answer,m_correct,m_cost\n"
    b"X_1,why?,B,1,0.5\n"
    b"SEEDBench2_Plus_2,how?,A,0,0.25\n"
)


def images_archive():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, seed in (("X/1.jpg", 1), ("SEEDBenchv2Plus/2.png", 2)):
            content = hashlib.shake_256(bytes([seed])).digest(200_000)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


ARCHIVE = images_archive()


@pytest.fixture
def hub(hub):
    hub.serve({"README.md": b"# A release", "MMR_Bench.csv": CSV, "images.tar.gz": ARCHIVE})
    return hub


def fetch(folder, repo=REPO, revision="v1"):
    return MmrRelease(repo=repo, revision=revision).fetch(folder)


def test_a_release_is_fetched_verified_unpacked_and_read(hub, tmp_path):
    source = MmrRelease(repo=REPO, revision="v1")
    folder = tmp_path / "fetched"
    assert source.fetch(folder) == folder
    assert json.loads((folder / "manifest.json").read_text()) == {
        "repo": REPO,
        "revision": "v1",
        "commit": hub.commit,
        "files": [
            {"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in (("MMR_Bench.csv", CSV), ("images.tar.gz", ARCHIVE))
        ],
    }
    assert {name for name, _ in hub.requests} == {"MMR_Bench.csv", "images.tar.gz"}
    samples = source.read(folder).samples
    assert samples["image"].tolist() == ["images/X/1.jpg", "images/SEEDBenchv2Plus/2.png"]


def test_the_endpoint_may_end_in_a_slash(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint + "/")
    assert (fetch(tmp_path / "fetched") / "MMR_Bench.csv").read_bytes() == CSV


def test_image_folders_are_fetched_where_there_is_no_archive(hub, tmp_path):
    hub.serve({"MMR-Bench.csv": CSV, "X/1.jpg": b"1", "notes/a.txt": b"no"})
    samples = MmrRelease(repo=REPO, revision="v1").read(fetch(tmp_path / "fetched")).samples
    assert samples["image"].isna().tolist() == [False, True]
    assert samples["image"][0] == "X/1.jpg"
    assert not (tmp_path / "fetched/notes").exists()


def test_nothing_is_left_of_another_revision(hub, tmp_path):
    source = MmrRelease(repo=REPO, revision="v1")
    source.fetch(tmp_path)
    hub.serve({"MMR-Bench.csv": CSV.replace(b"X_1", b"Y_1"), "images/Y/1.jpg": b"image"})
    samples = source.read(source.fetch(tmp_path)).samples
    assert samples["dataset"].tolist() == ["Y", "SEEDBench2_Plus"]
    assert samples["image"].fillna("").tolist() == ["images/Y/1.jpg", ""]
    assert not (tmp_path / "MMR_Bench.csv").exists()


def test_a_transfer_that_breaks_off_resumes_in_place(hub, tmp_path):
    hub.faults = {"images.tar.gz": [("break", 150_000)]}
    folder = fetch(tmp_path / "fetched")
    assert (folder / "images.tar.gz").read_bytes() == ARCHIVE
    assert hub.ranges("images.tar.gz") == [None, "bytes=150000-"]


def test_a_transfer_that_failed_resumes_in_the_next_run(hub, tmp_path):
    folder = tmp_path / "fetched"
    hub.faults = {"images.tar.gz": [("break", 150_000)] + [("status", 500)] * (ATTEMPTS - 1)}
    with pytest.raises(InputError, match=r"500.*run again, a broken transfer is continued"):
        fetch(folder)
    assert not (folder / "images.tar.gz").exists()
    assert not (folder / "manifest.json").exists()
    hub.requests.clear()
    fetch(folder)
    assert (folder / "images.tar.gz").read_bytes() == ARCHIVE
    assert hub.ranges("images.tar.gz") == ["bytes=150000-"]
    assert hub.ranges("MMR_Bench.csv") == []
    assert not list(folder.glob(".*.partial"))


STATUSES = [("status", code) for code in (408, 429, 500, 502, 503, 504)]
ONCE = [*STATUSES, ("break", 0), ("break", 10), ("stall", 0), ("stall", 10), ("silence",)]


@pytest.fixture
def wait_for_a_byte(monkeypatch):
    def wait(seconds):
        monkeypatch.setattr("mmroute.hub.LISTING_STALL", seconds)
        monkeypatch.setattr("mmroute.hub.TRANSFER_STALL", seconds)

    return wait


def retries(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "mmroute"]


@pytest.mark.parametrize("fault", [*ONCE, ("wrong",)], ids=str)
def test_a_fault_in_a_file_that_passes_costs_one_retry_and_one_log_line(
    hub, tmp_path, wait_for_a_byte, caplog, fault
):
    wait_for_a_byte(1)
    hub.faults = {"images.tar.gz": [fault]}
    assert (fetch(tmp_path / "fetched") / "images.tar.gz").read_bytes() == ARCHIVE
    (line,) = retries(caplog)
    assert line.startswith("'images.tar.gz' of 'someone/release': ")
    assert line.endswith(f"attempt 2 of {ATTEMPTS} in 0.01 s")


@pytest.mark.parametrize("fault", ONCE, ids=str)
@pytest.mark.parametrize("listing", ["info", "tree"])
def test_a_fault_in_a_listing_that_passes_costs_one_retry_and_one_log_line(
    hub, tmp_path, wait_for_a_byte, caplog, listing, fault
):
    wait_for_a_byte(1)
    hub.faults = {listing: [fault]}
    assert (fetch(tmp_path / "fetched") / "images.tar.gz").read_bytes() == ARCHIVE
    (line,) = retries(caplog)
    assert f"{REPO!r}: " in line
    assert line.endswith(f"attempt 2 of {ATTEMPTS} in 0.01 s")


STAYING = {
    ("status", 429): "status 429",
    ("status", 500): "status 500",
    ("break", 0): "closed connection",
    ("silence",): "ReadTimeout",
}


@pytest.mark.parametrize(
    ("name", "fault", "said"),
    [
        *((name, *case) for name in ("info", "tree", "images.tar.gz") for case in STAYING.items()),
        ("images.tar.gz", ("wrong",), "another hash than announced"),
    ],
)
def test_a_fault_that_stays_is_one_clear_line_after_a_fixed_number_of_attempts(
    hub, tmp_path, wait_for_a_byte, name, fault, said
):
    wait_for_a_byte(0.3)
    folder = tmp_path / "fetched"
    hub.faults = {name: [fault] * (ATTEMPTS + 1)}
    with pytest.raises(InputError, match=said) as caught:
        fetch(folder)
    assert len(hub.faults[name]) == 1
    message = str(caught.value)
    assert "\n" not in message
    named = {REPO, "'v1'", hub.endpoint, f"tried {ATTEMPTS} times", "run again", "source.path"}
    assert not [part for part in named | {name} - {"info", "tree"} if part not in message]
    assert not (folder / "images.tar.gz").exists()
    assert not (folder / "manifest.json").exists()


def test_the_pauses_grow_and_are_kept(hub, tmp_path, caplog):
    hub.faults = {"info": [("status", 503)] * (ATTEMPTS - 1)}
    fetch(tmp_path / "fetched")
    assert sorted(PAUSES) == list(PAUSES)
    assert [line.split()[-2] for line in retries(caplog)] == [f"{pause:g}" for pause in PAUSES]
    gaps = [later - earlier for earlier, later in itertools.pairwise(hub.times)]
    assert all(gap >= pause for gap, pause in zip(gaps, PAUSES, strict=False))


def test_the_pause_that_the_hub_asks_for_is_kept(hub, tmp_path, caplog):
    hub.faults = {"info": [("status", 429, {"Retry-After": "1"})]}
    fetch(tmp_path / "fetched")
    (line,) = retries(caplog)
    assert line.endswith("in 1 s")
    assert hub.times[1] - hub.times[0] >= 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "86400"},
        {"Retry-After": formatdate(time.time() + 86400, usegmt=True)},
        {"RateLimit": '"api";r=0;t=86400'},
    ],
    ids=["seconds", "date", "limit"],
)
@pytest.mark.parametrize("name", ["info", "tree", "images.tar.gz"])
def test_a_hub_that_asks_for_a_day_is_given_up_at_once(hub, tmp_path, name, headers):
    hub.faults = {name: [("status", 429, headers)]}
    with pytest.raises(InputError, match=r"429 with a demand to wait 8\d{4} s; run again then"):
        fetch(tmp_path / "fetched")


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("name", ["info", "tree", "images.tar.gz"])
def test_a_refusal_is_not_tried_again(hub, tmp_path, caplog, name, status):
    hub.faults = {name: [("status", status)] * 2}
    with pytest.raises(InputError, match="HF_TOKEN"):
        fetch(tmp_path / "fetched")
    assert len(hub.faults[name]) == 1
    assert retries(caplog) == []


def test_a_disk_that_takes_no_more_is_not_tried_again(hub, tmp_path, caplog):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            fetch(tmp_path / "fetched")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(tmp_path / "fetched")
    assert hub.ranges("images.tar.gz") == [None]
    assert retries(caplog) == []


def test_a_transfer_that_keeps_breaking_off_goes_on_as_long_as_bytes_come(hub, tmp_path, caplog):
    hub.faults = {"images.tar.gz": [("break", 30_000)] * (2 * ATTEMPTS)}
    assert (fetch(tmp_path / "fetched") / "images.tar.gz").read_bytes() == ARCHIVE
    starts = [None, *(f"bytes={30_000 * step}-" for step in range(1, 2 * ATTEMPTS + 1))]
    assert hub.ranges("images.tar.gz") == starts
    assert all(line.endswith(f"2 of {ATTEMPTS} in 0.01 s") for line in retries(caplog))


def test_wrong_bytes_that_break_off_in_between_end_too(hub, tmp_path):
    faults = [("break", 30_000), ("wrong",)] * (2 * ATTEMPTS)
    hub.faults = {"images.tar.gz": list(faults)}
    with pytest.raises(InputError, match=f"tried {ATTEMPTS} times"):
        fetch(tmp_path / "fetched")
    assert not (tmp_path / "fetched/images.tar.gz").exists()


def test_bytes_after_a_wrong_start_are_not_kept(hub, tmp_path, caplog):
    hub.faults = {"images.tar.gz": [("break", 150_000), ("wrong",), ("break", 10)]}
    assert (fetch(tmp_path / "fetched") / "images.tar.gz").read_bytes() == ARCHIVE
    assert hub.ranges("images.tar.gz") == [None, "bytes=150000-", None, "bytes=10-"]
    assert len(retries(caplog)) == 3


def test_a_hub_that_ignores_where_to_continue_is_read_from_the_start(hub, tmp_path):
    hub.ignores_ranges = True
    hub.faults = {"images.tar.gz": [("break", 150_000)]}
    assert (fetch(tmp_path / "fetched") / "images.tar.gz").read_bytes() == ARCHIVE
    assert hub.ranges("images.tar.gz") == [None, "bytes=150000-"]


def test_a_long_listing_is_read_page_by_page(hub, tmp_path, caplog):
    hub.page_length = 2
    hub.faults = {"tree": [None, ("status", 500), None]}
    hub.serve({"MMR-Bench.csv": CSV} | {f"X/{name}.jpg": name.encode() for name in "abcd"})
    folder = fetch(tmp_path / "fetched")
    assert {path.name for path in (folder / "X").iterdir()} == {f"{name}.jpg" for name in "abcd"}
    assert hub.faults["tree"] == []
    assert len(retries(caplog)) == 1


@pytest.mark.parametrize("name", ["MMR_Bench.csv", "images.tar.gz"])
def test_a_file_with_the_wrong_hash_is_removed(hub, tmp_path, name):
    right = hub.files[name]
    hub.files[name] = right[:-1] + b"!"
    folder = tmp_path / "fetched"
    with pytest.raises(InputError) as caught:
        fetch(folder)
    for part in (name, "another hash", hub.endpoint, "source.path"):
        assert part in str(caught.value)
    assert not [path for path in folder.iterdir() if name in path.name]
    assert not (folder / "manifest.json").exists()
    hub.files[name] = right
    fetch(folder)
    assert (folder / name).read_bytes() == right


def test_what_is_there_is_kept_if_whole_and_fetched_again_if_damaged(hub, tmp_path):
    folder = fetch(tmp_path / "fetched")
    hub.requests.clear()
    fetch(folder)
    assert hub.requests == []
    (folder / "MMR_Bench.csv").write_bytes(b"damaged")
    fetch(folder)
    assert (folder / "MMR_Bench.csv").read_bytes() == CSV
    assert hub.requests == [("MMR_Bench.csv", None)]


def test_the_clients_own_cache_is_used(hub, tmp_path):
    cached = tmp_path / "hf_cache/datasets--someone--release/snapshots" / hub.commit
    cached.mkdir(parents=True)
    (cached / "images.tar.gz").write_bytes(ARCHIVE)
    folder = fetch(tmp_path / "fetched")
    assert (folder / "images.tar.gz").read_bytes() == ARCHIVE
    assert hub.ranges("images.tar.gz") == []


@pytest.mark.parametrize("poison", [ARCHIVE[:-1] + b"!", ARCHIVE[:1000], b""])
def test_a_wrong_file_in_the_clients_own_cache_is_passed_over(hub, tmp_path, caplog, poison):
    cached = tmp_path / "hf_cache/datasets--someone--release/snapshots" / hub.commit
    cached.mkdir(parents=True)
    (cached / "images.tar.gz").write_bytes(poison)
    folder = fetch(tmp_path / "fetched")
    assert (folder / "images.tar.gz").read_bytes() == ARCHIVE
    assert hub.ranges("images.tar.gz") == [None]
    (line,) = retries(caplog)
    assert str(cached) in line
    assert "another hash" in line


def test_without_a_server_the_error_says_what_from_where_and_what_to_do(monkeypatch, hub, tmp_path):
    hub.shutdown()
    hub.server_close()
    with pytest.raises(InputError) as caught:
        fetch(tmp_path / "fetched")
    for part in (REPO, "'v1'", hub.endpoint, "source.path"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "fetched/manifest.json").exists()


@pytest.mark.parametrize(
    ("repo", "revision", "said"),
    [
        ("someone/other", "v1", "not found, or private"),
        ("gated/release", "v1", "access is gated.*HF_TOKEN"),
        (REPO, "v9", r"no such revision; check source\.revision"),
        ("no//name", "v1", r"correct source\.repo"),
    ],
)
def test_what_the_hub_refuses_is_one_clear_line(hub, tmp_path, repo, revision, said):
    with pytest.raises(InputError, match=said) as caught:
        fetch(tmp_path / "fetched", repo, revision)
    assert "\n" not in str(caught.value)
    assert repr(repo) in str(caught.value)


def test_offline_mode_is_said(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        fetch(tmp_path / "fetched")


def test_a_data_set_without_the_csv_is_named(hub, tmp_path):
    hub.serve({"README.md": b"nothing"})
    with pytest.raises(InputError, match=r"'someone/release' at revision 'v1' has no .*\.csv"):
        fetch(tmp_path / "fetched")


def test_a_path_that_leaves_the_folder_is_refused(hub, tmp_path):
    hub.serve({"../escape.jpg": b"x"})
    with pytest.raises(InputError, match=r"'\.\./escape\.jpg', which leaves"):
        download(REPO, "v1", tmp_path / "fetched", choose=list)
    assert not (tmp_path / "escape.jpg").exists()


def test_a_release_that_was_fetched_needs_no_second_source(hub, tmp_path):
    folder = fetch(tmp_path / "fetched")
    local = MmrRelease(path=str(folder))
    pd.testing.assert_frame_equal(
        local.read(folder).samples, MmrRelease(repo=REPO, revision="v1").read(folder).samples
    )
