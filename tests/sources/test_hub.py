import hashlib
import io
import json
import tarfile

import huggingface_hub
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.sources.hub import download
from mmroute.sources.mmr_release import MmrRelease

REPO = "someone/release"
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
    first, second = hub.ranges("images.tar.gz")
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 150_000


def test_a_transfer_that_failed_resumes_in_the_next_run(hub, tmp_path):
    folder = tmp_path / "fetched"
    hub.faults = {"images.tar.gz": [("break", 150_000), ("status", 500)]}
    with pytest.raises(InputError, match=r"500.*run again, a broken transfer is continued"):
        fetch(folder)
    assert not (folder / "images.tar.gz").exists()
    assert not (folder / "manifest.json").exists()
    hub.requests.clear()
    fetch(folder)
    assert (folder / "images.tar.gz").read_bytes() == ARCHIVE
    (given,) = hub.ranges("images.tar.gz")
    assert 0 < int(given.removeprefix("bytes=").removesuffix("-")) <= 150_000
    assert hub.ranges("MMR_Bench.csv") == []
    assert not list(folder.glob(".*.partial"))


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
