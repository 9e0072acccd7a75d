"""A question and its image as two tokens: for the routers that attend across modalities."""

import torch
from torch import nn

from mmroute.routers.gradients import drawn


def width_of_text(width: int) -> int:
    """Return how many of a pair's columns are the text's; an odd one is the text's too."""
    return (width + 1) // 2


class TokenTransformer(nn.Module):
    """A transformer over the tokens [text, image] that returns one vector per sample.

    Each modality is projected to ``width`` and marked by a learned embedding; layers
    normalise first. A missing modality, a half that is all zero, is masked and left out of
    the mean over the tokens. A sample with neither attends to both.

    Parameters
    ----------
    n_features
        Width of the pair [t ; v].
    width, layers, heads
        Of the transformer.
    dropout
        Share of activations dropped in training.
    """

    def __init__(
        self, n_features: int, width: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.split = width_of_text(n_features)
        widths = (self.split, max(n_features - self.split, 1))
        self.projections = nn.ModuleList([nn.Linear(own, width) for own in widths])
        self.modality = drawn(2, width, scale=0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        """Return (n, width) for (n, n_features)."""
        text, image = pairs[:, : self.split], pairs[:, self.split :]
        if image.shape[1] == 0:
            image = image.new_zeros(len(image), 1)
        missing = torch.stack([(half == 0).all(dim=1) for half in (text, image)], dim=1)
        missing = missing & ~missing.all(dim=1, keepdim=True)
        halves = zip(self.projections, (text, image), strict=True)
        tokens = torch.stack([project(half) for project, half in halves], dim=1) + self.modality
        encoded = self.norm(self.encoder(tokens, src_key_padding_mask=missing))
        kept = (~missing).unsqueeze(2).to(encoded.dtype)
        return (encoded * kept).sum(dim=1) / kept.sum(dim=1)
