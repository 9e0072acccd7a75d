import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mmroute.encoders import Encoder
from mmroute.errors import InputError
from mmroute.features.embeddings import Embeddings, embed, read_all, stack


class Letters(Encoder):
    """Counts letters; an image's vector is its file's bytes, NaN where there is no file."""

    key = "letters"

    def encode_texts(self, texts):
        return np.array([[text.count("a"), text.count("b")] for text in texts], np.float32).reshape(
            -1, 2
        )

    def encode_images(self, paths, threads):
        rows = [list(path.read_bytes()) if path.exists() else [np.nan] * 2 for path in paths]
        return np.array(rows, np.float32).reshape(-1, 2)


@pytest.fixture
def samples(tmp_path):
    (tmp_path / "one.jpg").write_bytes(bytes([3, 4]))
    return pd.DataFrame(
        {
            "sample_id": ["x", "y", "z"],
            "question": ["aaab", "  ", "b"],
            "image": [None, "one.jpg", "gone.jpg"],
        }
    )


def test_texts_are_normalised_and_their_norms_kept(samples, tmp_path):
    result = embed(Letters(), "text", samples, tmp_path, 1)
    assert result.present.tolist() == [True, False, True]
    np.testing.assert_allclose(result.norms, [10**0.5, 0, 1], rtol=1e-6)
    np.testing.assert_allclose(result.vectors[0], np.array([3, 1]) / 10**0.5, rtol=1e-6)
    assert not result.vectors[1].any()


def test_an_image_that_cannot_be_decoded_is_a_missing_modality(samples, tmp_path):
    result = embed(Letters(), "image", samples, tmp_path, 1)
    assert result.present.tolist() == [False, True, False]
    assert result.norms.tolist() == [0, 5, 0]
    np.testing.assert_allclose(result.vectors, [[0, 0], [0.6, 0.8], [0, 0]], rtol=1e-6)


@pytest.fixture
def several(tmp_path):
    for name, content in (("one", [3, 4]), ("two", [9, 12]), ("three", [0, 4])):
        (tmp_path / f"{name}.jpg").write_bytes(bytes(content))
    images = ["one.jpg//three.jpg", None, "one.jpg//gone.jpg//two.jpg", "gone.jpg//lost.jpg"]
    return pd.DataFrame({"sample_id": list("wxyz"), "question": "", "image": images})


def test_of_several_images_the_embedding_is_that_of_their_mean(several, tmp_path):
    result = embed(Letters(), "image", several, tmp_path, 1)
    assert result.present.tolist() == [True, False, True, False]
    means = np.array([[1.5, 4], [6, 8]], np.float32)
    norms = np.linalg.norm(means, axis=1)
    np.testing.assert_array_equal(result.norms, [norms[0], 0, norms[1], 0])
    np.testing.assert_array_equal(result.vectors[[0, 2]], means / norms[:, None])
    assert result.missed.tolist() == [0, 0, 1, 0]


def test_beside_several_images_a_single_one_is_embedded_as_alone(several, tmp_path):
    alone = embed(Letters(), "image", several.assign(image="two.jpg"), tmp_path, 1)
    beside = embed(
        Letters(), "image", several.assign(image=["two.jpg", "one.jpg//two.jpg"] * 2), tmp_path, 1
    )
    np.testing.assert_array_equal(beside.vectors[::2], alone.vectors[::2])
    np.testing.assert_array_equal(beside.norms[::2], alone.norms[::2])
    assert beside.missed is alone.missed is None


def test_what_was_missed_among_several_is_kept_and_costs_others_no_byte(several, tmp_path):
    some = embed(Letters(), "image", several, tmp_path, 1)
    none = embed(Letters(), "image", several.assign(image="gone.jpg"), tmp_path, 1)
    for name, part in (("some", some), ("none", none)):
        part.write(tmp_path / f"{name}.parquet", several["sample_id"])
    assert pq.read_schema(tmp_path / "none.parquet").names == [
        "sample_id",
        "present",
        "norm",
        "vector",
    ]
    both = read_all([str(tmp_path / f"{name}.parquet") for name in ("none", "some")], "wxyzwxyz")
    assert both.missed.tolist() == [0] * 6 + [1, 0]
    assert both.take(np.array([6, 0])).missed.tolist() == [1, 0]


def test_survives_writing_and_reading_in_order(samples, tmp_path):
    result = embed(Letters(), "text", samples, tmp_path, 1)
    result.write(tmp_path / "a.parquet", samples["sample_id"])
    result.write(tmp_path / "b.parquet", samples["sample_id"])
    both = read_all([str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")], list("xyzxyz"))
    np.testing.assert_array_equal(both.vectors, np.tile(result.vectors, (2, 1)))
    np.testing.assert_array_equal(both.norms, np.tile(result.norms, 2))
    np.testing.assert_array_equal(both.present, np.tile(result.present, 2))


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"a\.parquet: not readable as Parquet"):
        read_all([str(tmp_path / "a.parquet")], ["x"])


def test_a_data_set_with_nothing_to_encode_stacks_with_any_width():
    nothing = Embeddings(np.zeros((2, 0), np.float32), np.zeros(2), np.zeros(2, bool))
    some = Embeddings(np.ones((1, 3), np.float32), np.ones(1), np.ones(1, bool))
    assert stack([nothing, some]).vectors.tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1]]
