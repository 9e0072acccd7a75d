import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.sources.hub import download
from mmroute.sources.mmr_release import MmrRelease

REPO = "someone/release"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
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


class Hub(ThreadingHTTPServer):
    """The part of the hub's protocol that a download uses."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(files)
        self.stated = dict(files)
        self.requests = []
        # What goes wrong with the next requests of a path: bytes sent before the
        # connection breaks, or an HTTP status.
        self.faults = {}

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_port}"

    def ranges(self, path):
        return [given for requested, given in self.requests if requested == path]

    def entry(self, path):
        content = self.stated[path]
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"type": "file", "path": path, "size": len(content), "oid": oid}
        if path.endswith(".gz"):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
        return entry


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/datasets/gated/"):
            self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif not path.startswith((f"/api/datasets/{REPO}/", f"/datasets/{REPO}/")):
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif path in (f"/api/datasets/{REPO}/revision/{name}" for name in ("v1", COMMIT)):
            self.answer(200, json.dumps({"id": REPO, "sha": COMMIT}).encode())
        elif path == f"/api/datasets/{REPO}/tree/{COMMIT}":
            listing = [self.server.entry(name) for name in self.server.stated]
            self.answer(200, json.dumps(listing).encode())
        elif path.startswith(f"/datasets/{REPO}/resolve/{COMMIT}/"):
            self.send_file(path.removeprefix(f"/datasets/{REPO}/resolve/{COMMIT}/"))
        else:
            self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})

    def send_file(self, name):
        given = self.headers.get("Range")
        self.server.requests.append((name, given))
        content = self.server.files[name]
        start = int(given.removeprefix("bytes=").removesuffix("-")) if given else 0
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{self.server.entry(name)["oid"]}"'}
        if "lfs" in self.server.entry(name):
            headers["X-Linked-Etag"] = f'"{self.server.entry(name)["lfs"]["oid"]}"'
            headers["X-Linked-Size"] = str(len(content))
        if given:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        faults = self.server.faults.get(name)
        match faults.pop(0) if faults else None:
            case ("status", status):
                self.answer(status, b"")
            case ("break", sent):
                self.answer(206 if given else 200, content[start:], headers, sent)
            case None:
                self.answer(206 if given else 200, content[start:], headers)

    def answer(self, status, body, headers=None, sent=None):
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[:sent])
        self.close_connection = sent is not None

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    server = Hub({"README.md": b"# A release", "MMR_Bench.csv": CSV, "images.tar.gz": ARCHIVE})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf_cache"))
    # The client keeps whole chunks of a broken transfer, and waits before it goes on.
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 2**14)
    monkeypatch.setattr(huggingface_hub.file_download.time, "sleep", lambda _: None)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(folder, repo=REPO, revision="v1"):
    return MmrRelease(repo=repo, revision=revision).fetch(folder)


def test_a_release_is_fetched_verified_unpacked_and_read(hub, tmp_path):
    source = MmrRelease(repo=REPO, revision="v1")
    folder = tmp_path / "fetched"
    assert source.fetch(folder) == folder
    assert json.loads((folder / "manifest.json").read_text()) == {
        "repo": REPO,
        "revision": "v1",
        "commit": COMMIT,
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
    hub.files = hub.stated = {"MMR-Bench.csv": CSV, "X/1.jpg": b"1", "notes/a.txt": b"no"}
    samples = MmrRelease(repo=REPO, revision="v1").read(fetch(tmp_path / "fetched")).samples
    assert samples["image"].isna().tolist() == [False, True]
    assert samples["image"][0] == "X/1.jpg"
    assert not (tmp_path / "fetched/notes").exists()


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
    cached = tmp_path / "hf_cache/datasets--someone--release/snapshots" / COMMIT
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
    hub.files = hub.stated = {"README.md": b"nothing"}
    with pytest.raises(InputError, match=r"'someone/release' at revision 'v1' has no .*\.csv"):
        fetch(tmp_path / "fetched")


def test_a_path_that_leaves_the_folder_is_refused(hub, tmp_path):
    hub.files = hub.stated = {"../escape.jpg": b"x"}
    with pytest.raises(InputError, match=r"'\.\./escape\.jpg', which leaves"):
        download(REPO, "v1", tmp_path / "fetched", choose=list)
    assert not (tmp_path / "escape.jpg").exists()


def test_a_release_that_was_fetched_needs_no_second_source(hub, tmp_path):
    folder = fetch(tmp_path / "fetched")
    local = MmrRelease(path=str(folder))
    pd.testing.assert_frame_equal(
        local.read(folder).samples, MmrRelease(repo=REPO, revision="v1").read(folder).samples
    )
