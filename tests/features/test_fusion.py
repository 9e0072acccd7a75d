"""Fusion by its definitions, and both corrections to the published method."""

import numpy as np
import pytest
from scipy.special import expit

from mmroute.catalogue import build, catalogue
from mmroute.features.embeddings import Embeddings
from mmroute.features.fusion import (
    Adaptive,
    Concat,
    Features,
    Image,
    Mean,
    Pair,
    Tabular,
    Text,
    Weighted,
)


def embeddings(rows, norms=None, present=None):
    rows = np.asarray(rows, np.float32)
    present = np.ones(len(rows), bool) if present is None else np.asarray(present)
    norms = np.linspace(1, 2, len(rows)) if norms is None else np.asarray(norms)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return Embeddings(
        np.where(present[:, None], rows, 0).astype(np.float32),
        np.where(present, norms, 0).astype(np.float32),
        present,
    )


def random_pair(n_samples=12, widths=(6, 6), seed=0, present=(None, None)):
    generator = np.random.default_rng(seed)
    return tuple(
        embeddings(
            generator.normal(size=(n_samples, width)), generator.uniform(1, 3, n_samples), mask
        )
        for width, mask in zip(widths, present, strict=True)
    )


def side(text, width=3):
    """Return side features, of which the last one is constant."""
    drawn = np.random.default_rng(5).normal(10, 4, size=(len(text.vectors), width))
    return np.column_stack([drawn, np.ones(len(drawn))]).astype(np.float32)


def fused(fusion, text, image):
    return fusion.fit(text, image).transform(text, image)


def features(fusion, text, image, side, train):
    fitted = Features.fit(fusion, text.take(train), image.take(train), side[train])
    return fitted.of_splits(text, image, side, train)


def test_text_and_image_take_one_modality():
    text, image = random_pair(widths=(6, 4))
    np.testing.assert_array_equal(fused(Text(), text, image), text.vectors)
    np.testing.assert_array_equal(fused(Image(), text, image), image.vectors)


def test_mean_takes_a_missing_modality_as_zero():
    text, image = random_pair(present=(None, [True] * 11 + [False]))
    result = fused(Mean(), text, image)
    np.testing.assert_allclose(result[0], (text.vectors[0] + image.vectors[0]) / 2, atol=1e-6)
    np.testing.assert_allclose(result[-1], text.vectors[-1] / 2, atol=1e-6)


def test_weighted_weighs_the_text():
    text, image = random_pair()
    np.testing.assert_allclose(
        fused(Weighted(0.75), text, image), 0.75 * text.vectors + 0.25 * image.vectors, atol=1e-6
    )


def test_concat_keeps_both_widths():
    text, image = random_pair(widths=(6, 4))
    np.testing.assert_array_equal(
        fused(Concat(), text, image), np.hstack([text.vectors, image.vectors])
    )


def test_adaptive_follows_the_equations():
    text, image = random_pair()

    def confidence(modality):
        prototype = modality.vectors.mean(axis=0)
        cosine = modality.vectors @ prototype / np.linalg.norm(prototype)
        norms = modality.norms.astype(float)
        cue = expit((norms - norms.mean()) / norms.std())
        return 0.5 * (cosine + 1) / 2 + 0.5 * cue

    weights = np.exp(5 * np.stack([confidence(text), confidence(image)]))
    weights /= weights.sum(axis=0)
    t, v = text.vectors, image.vectors
    z = weights[0][:, None] * t + weights[1][:, None] * v + 0.5 * t * v + 0.5 * np.abs(t - v)
    expected = z / np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(fused(Adaptive(), text, image), expected, atol=1e-5)


def test_adaptive_gives_a_missing_modality_no_weight_and_no_interaction():
    text, image = random_pair(present=(None, [False] + [True] * 11))
    np.testing.assert_allclose(fused(Adaptive(), text, image)[0], text.vectors[0], atol=1e-6)


def test_adaptive_without_any_image_is_the_text():
    text, image = random_pair(present=(None, [False] * 12))
    np.testing.assert_allclose(fused(Adaptive(), text, image), text.vectors, atol=1e-6)


def test_the_norm_cue_is_constant_where_norms_carry_no_signal():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(2, 12, 6))
    rounding = 1 + 1e-8 * generator.normal(size=12)
    flat = [embeddings(part, np.ones(12)) for part in rows]
    noisy = [Embeddings(part.vectors, rounding.astype(np.float64), part.present) for part in flat]
    np.testing.assert_allclose(
        fused(Adaptive(), *noisy), fused(Adaptive(), *flat), rtol=0, atol=1e-7
    )


def test_a_test_sample_does_not_depend_on_the_other_test_samples():
    text, image = random_pair(n_samples=20, widths=(8, 6))
    train = np.arange(20) < 10
    changed = image.vectors.copy()
    changed[15] = np.roll(changed[15], 1)
    other = Embeddings(changed, image.norms, image.present)
    for name in catalogue("features"):
        before = features(build("features", name, {}), text, image, side(text), train)
        after = features(build("features", name, {}), text, other, side(text), train)
        untouched = np.arange(20) != 15
        np.testing.assert_array_equal(before[untouched], after[untouched], err_msg=name)


def test_batch_statistics_reproduce_the_published_dependence():
    text, image = random_pair(n_samples=20)
    train = np.arange(20) < 10
    norms = image.norms.copy()
    norms[15] *= 9
    longer = Embeddings(image.vectors, norms, image.present)
    before = features(Adaptive("batch"), text, image, side(text), train)
    after = features(Adaptive("batch"), text, longer, side(text), train)
    assert not np.array_equal(before[16], after[16])
    np.testing.assert_array_equal(before[train], after[train])


@pytest.mark.parametrize("widths", [(9, 5), (5, 9)])
@pytest.mark.parametrize("n_train", [3, 15])
def test_unequal_widths_meet_in_the_narrower_one_by_an_orthonormal_map(widths, n_train):
    text, image = random_pair(n_samples=20, widths=widths)
    train = np.arange(20) < n_train
    fusion = Mean()
    result = features(fusion, text, image, side(text), train)
    assert result.shape == (20, 5)
    projection = fusion.text_projection_ if widths[0] > 5 else fusion.image_projection_
    np.testing.assert_allclose(projection.T @ projection, np.eye(5), atol=1e-6)


def test_the_projection_keeps_the_training_rows_own_directions():
    generator = np.random.default_rng(0)
    basis = np.linalg.qr(generator.normal(size=(9, 3)))[0]
    low = generator.normal(size=(30, 3))
    wide = embeddings(low @ basis.T)
    narrow = embeddings(generator.normal(size=(30, 5)))
    fusion = Mean().fit(wide, narrow)
    kept = wide.vectors @ fusion.text_projection_
    np.testing.assert_allclose(np.linalg.norm(kept, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["mean", "weighted", "adaptive"])
def test_the_order_of_the_samples_does_not_matter(name):
    text, image = random_pair(n_samples=20, widths=(15, 12))
    train = np.arange(20) < 8
    order = np.random.default_rng(1).permutation(20)
    forward = features(build("features", name, {}), text, image, side(text), train)
    shuffled = features(
        build("features", name, {}), text.take(order), image.take(order), side(text), train[order]
    )
    np.testing.assert_allclose(shuffled, forward[order], atol=1e-5)


def test_no_fusion_gives_anything_but_finite_numbers_when_both_modalities_are_missing():
    present = [False] + [True] * 11
    text, image = random_pair(present=(present, present))
    for name in catalogue("features"):
        assert np.isfinite(fused(build("features", name, {}), text, image)).all(), name


def test_side_features_stand_beside_the_embeddings_on_the_training_splits_scale():
    text, image = random_pair(n_samples=40)
    train = np.arange(40) < 20
    own = features(Tabular(), text, image, side(text), train)
    np.testing.assert_array_equal(own[:, :12], features(Concat(), text, image, side(text), train))
    beside = own[train, 12:] * np.sqrt(4)
    np.testing.assert_allclose(beside[:, :3].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(beside[:, :3].std(axis=0), 1, atol=1e-5)
    assert not own[:, -1].any()


def test_unknown_side_features_are_zero_and_extreme_ones_are_cut():
    reference = np.array([[0.0, 1.0], [2.0, np.nan], [4.0, 3.0]])
    given = np.array([[np.nan, 2.0], [1e9, np.inf], [2.0, -1e9]])
    text, image = random_pair(n_samples=3)
    fitted = Features.fit(Tabular(), text, image, reference)
    scaled = fitted.transform(text, image, given)[:, -2:] * np.sqrt(2)
    np.testing.assert_allclose(scaled, [[0, 0], [5, 5], [0, -5]], atol=1e-6)


def test_a_pair_has_both_modalities_in_one_width_and_a_missing_one_is_zero():
    present = [False] + [True] * 11
    text, image = random_pair(widths=(8, 5), present=(None, present))
    pair = fused(Pair(), text, image)
    assert pair.shape == (12, 10)
    assert not pair[0, 5:].any()
    np.testing.assert_array_equal(pair[1:, 5:], image.vectors[1:])


@pytest.mark.parametrize("name", sorted(catalogue("features")))
def test_text_only_samples_get_what_a_sample_without_image_gets(name):
    absent = [True] * 10 + [False] * 2
    text, image = random_pair(present=(None, absent))
    train = np.arange(12) < 8
    fitted = Features.fit(
        build("features", name, {}), text.take(train), image.take(train), side(text)[train]
    )
    together = fitted.of_splits(text, image, side(text), train)
    no_image = Embeddings.masked(2, image.vectors.shape[1])
    alone = fitted.transform(text.take(np.array([10, 11])), no_image, side(text)[10:])
    np.testing.assert_allclose(alone, together[10:], atol=1e-6)
