"""Vision-language classifier: a small transformer over both embeddings (VL-RouterBench)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, Lt
from torch import nn

from mmroute.routers.end_to_end import EndToEndRouter
from mmroute.routers.tokens import TokenTransformer


@dataclass(eq=False, repr=False, kw_only=True)
class VLC(EndToEndRouter):
    """A transformer of ``layers`` layers over [text, image] with one softmax per lambda.

    Cross-entropy to the soft labels.

    Published
    ---------
    ``routers/vlc/router.py`` of https://github.com/yutao1024/SCOPE-Router: a linear classifier
    on a vision-language transformer. Departures beside those of ``EndToEndRouter``:

    - The transformer has sizes of ours and two tokens, as it reads embeddings and neither
      words nor patches. All lambdas share it.

    Parameters
    ----------
    width, layers, heads, dropout
        Of the transformer.
    """

    name: ClassVar[str] = "vlc"
    fusion: ClassVar[str] = "pair"
    width: Annotated[int, Ge(1)] = 128
    layers: Annotated[int, Ge(1), Le(100)] = 2
    heads: Annotated[int, Ge(1)] = 4
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1

    def _head(self, n_features: int, n_lambdas: int, n_models: int) -> nn.Module:
        return nn.Sequential(
            TokenTransformer(n_features, self.width, self.layers, self.heads, self.dropout),
            nn.Linear(self.width, n_lambdas * n_models),
            nn.Unflatten(1, (n_lambdas, n_models)),
        )
