"""Results that Snakemake has no records of, and downloads that changed, are made anew."""

import shutil

import pytest

from mmroute import settling
from mmroute.errors import DamagedFile
from mmroute.known_files import KnownFiles
from mmroute.settling import pair, settle
from mmroute.storage import digest_sha256, write_json, write_text

EARLY = ["data", "outcomes", "splits.parquet", "embeddings", "source.json"]


@pytest.fixture
def place(tmp_path):
    """Return the folder of a finished run, and that of Snakemake's records of it."""
    results, records = tmp_path / "results/mine", tmp_path / ".snakemake"
    pair(results, records)
    for folder in (results, results / "text_only"):
        write_json(folder / "source.json", {"root": "data"})
        write_text(folder / "splits.parquet", "splits")
        for name in ("data", "outcomes", "embeddings"):
            write_text(folder / name / "file", "content")
    write_text(results / "report.html", "report")
    write_json(results / "provenance.json", {"made_from": "these"})
    return results, records


def settled(place, made_from="these", manifests=(), begin=lambda: None):
    results, records = place
    return list(settle(results, records, made_from, manifests, KnownFiles(), begin))


def there(results):
    return sorted(
        f"{folder.name}/{name}"
        for folder in (results, results / "text_only")
        for name in EARLY
        if (folder / name).exists()
    )


def test_what_snakemake_has_records_of_is_left_to_it(place):
    assert settled(place, "others") == []
    assert len(there(place[0])) == 10


@pytest.mark.parametrize(
    "unpair",
    [
        lambda results, records: shutil.rmtree(records),
        lambda results, records: write_text(records / "mmroute/mine", "another"),
        lambda results, records: (results / ".twin").unlink(),
    ],
)
def test_without_records_all_is_made_anew_unless_it_was_made_from_the_same(place, unpair):
    unpair(*place)
    assert settled(place) == []
    assert len(there(place[0])) == 10
    (said,) = settled(place, "others")
    assert "came here without" in said
    assert there(place[0]) == []
    assert (place[0] / ".data.damaged/file").exists()
    assert (place[0] / "report.html").exists()
    assert settled(place, "others") == []


@pytest.mark.parametrize("record", [None, "{", "[]", "{}", '{"made_from": null}'])
def test_a_run_that_has_not_finished_or_recorded_nothing_is_made_anew(place, record):
    shutil.rmtree(place[1])
    (place[0] / "provenance.json").unlink()
    if record is not None:
        write_text(place[0] / "provenance.json", record)
    assert len(settled(place)) == 1


def test_results_of_another_name_have_other_records(place):
    results, records = place
    other = results.with_name("other")
    results.rename(other)
    assert len(settled((other, records), "others")) == 1


def test_records_are_taken_for_those_of_new_results_only(place):
    results, records = place
    shutil.rmtree(records)
    pair(results, records)
    assert len(settled(place, "others")) == 1
    pair(results, records)
    write_json(results / "source.json", {"root": "data"})
    assert settled(place, "more") == []


@pytest.fixture(params=["source", "source/1/fetched", "text_only/source"])
def download(request, place):
    """Return the manifest of a download and the note that it is there."""
    folder = place[0] / request.param
    for name in ("a.csv", "deep/b.csv"):
        write_text(folder / name, name)
    files = [
        {"path": name, "size": len(name), "sha256": digest_sha256(folder / name)}
        for name in ("a.csv", "deep/b.csv")
    ]
    write_json(folder / "manifest.json", {"files": files})
    text_only = "text_only/" if request.param.startswith("text_only") else ""
    return folder / "manifest.json", place[0] / f"{text_only}source.json"


@pytest.mark.parametrize(
    ("change", "is_seen_by_size"),
    [
        (lambda file: file.write_text("more than before"), True),
        (lambda file: file.write_text("DEEP/B.CSV"), False),
        (lambda file: file.unlink(), True),
    ],
)
@pytest.mark.parametrize("most", [2**30, 1])
def test_a_download_that_changed_is_fetched_again(
    place, download, monkeypatch, change, is_seen_by_size, most
):
    monkeypatch.setattr(settling, "MOST_CONTENT", most)
    manifest, note = download
    assert settled(place, manifests=[manifest]) == []
    change(manifest.parent / "deep/b.csv")
    said = settled(place, manifests=[manifest])
    if is_seen_by_size or most > 1:
        assert said == [
            f"{manifest.parent}/deep/b.csv: is not what was fetched; it is fetched again"
        ]
        assert not note.exists()
        assert settled(place, manifests=[manifest]) == []
    else:
        assert said == []


def test_a_manifest_that_is_not_there_yet_says_nothing_and_a_damaged_one_is_named(place):
    manifest = place[0] / "source/manifest.json"
    assert settled(place, manifests=[manifest]) == []
    write_text(manifest, "{")
    with pytest.raises(DamagedFile, match=r"manifest\.json"):
        settled(place, manifests=[manifest])


def test_what_is_only_to_be_told_moves_nothing(place):
    results, records = place
    (records / "mmroute" / results.name).unlink(missing_ok=True)
    (results / ".twin").unlink(missing_ok=True)
    begun = []
    before = there(results)
    assert len(settled(place, "others", begin=None)) == 1
    assert there(results) == before
    assert len(settled(place, "others", begin=lambda: begun.append(there(results)))) == 1
    assert begun == [before]
    assert there(results) == []
