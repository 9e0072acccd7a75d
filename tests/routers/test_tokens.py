"""Two tokens, of which a missing one is not attended to."""

import pytest
import torch

from mmroute.routers.tokens import TokenTransformer, width_of_text


@pytest.fixture
def network():
    torch.manual_seed(0)
    return TokenTransformer(8, width=16, layers=2, heads=4, dropout=0.0).eval()


def test_a_missing_modality_has_no_say(network):
    pairs = torch.randn(3, 8)
    pairs[:, 4:] = 0
    before = network(pairs)
    with torch.no_grad():
        network.projections[1].bias.add_(5)
        network.modality[1] += 5
    torch.testing.assert_close(network(pairs), before)


def test_both_modalities_have_a_say(network):
    pairs = torch.randn(3, 8)
    for column in (0, 7):
        changed = pairs.clone()
        changed[:, column] += 1
        assert not torch.allclose(network(changed), network(pairs))


def test_a_sample_with_neither_is_finite(network):
    assert torch.isfinite(network(torch.zeros(2, 8))).all()


@pytest.mark.parametrize(("width", "text"), [(8, 4), (5, 3), (1, 1)])
def test_an_odd_width_gives_the_text_one_more(width, text):
    assert width_of_text(width) == text
    assert TokenTransformer(width, 8, 1, 2, 0.0)(torch.randn(2, width)).shape == (2, 8)
