"""Vision-language classifier: a small transformer over both embeddings (VL-RouterBench)."""

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from torch import nn

from mmroute.routers.end_to_end import EndToEndRouter
from mmroute.routers.tokens import TokenTransformer


class VLC(EndToEndRouter):
    """A transformer of ``layers`` layers over [text, image] with one softmax per lambda.

    Cross-entropy to the soft labels. The lambdas share the transformer and have a
    linear classifier each, where the paper trains a network per lambda: eight
    transformers would take eight times as long. The sizes are ours.

    Parameters
    ----------
    width, layers, heads, dropout
        Of the transformer.
    """

    name: ClassVar[str] = "vlc"
    fusion: ClassVar[str] = "pair"

    def __init__(
        self,
        mode: Literal["frozen", "finetune"] = "frozen",
        clip_model: str = "ViT-B-32",
        pretrained: str = "openai",
        finetune_epochs: Annotated[int, Ge(1)] = 10,
        finetune_learning_rate: Annotated[float, Gt(0)] = 1e-5,
        lambdas: list[Annotated[float, Ge(0)]] | None = None,
        scale: Annotated[float, Gt(0)] = 1.0,
        width: Annotated[int, Ge(1)] = 128,
        layers: Annotated[int, Ge(1), Le(100)] = 2,
        heads: Annotated[int, Ge(1)] = 4,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
        epochs: Annotated[int, Ge(1)] = 100,
        learning_rate: Annotated[float, Gt(0)] = 1e-3,
        batch_size: Annotated[int, Ge(1)] = 64,
        patience: Annotated[int, Ge(1)] = 10,
        random_state: int = 0,
    ) -> None:
        self.mode = mode
        self.clip_model = clip_model
        self.pretrained = pretrained
        self.finetune_epochs = finetune_epochs
        self.finetune_learning_rate = finetune_learning_rate
        self.lambdas = lambdas
        self.scale = scale
        self.width = width
        self.layers = layers
        self.heads = heads
        self.dropout = dropout
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.patience = patience
        self.random_state = random_state

    def _head(self, n_features: int, n_lambdas: int, n_models: int) -> nn.Module:
        return nn.Sequential(
            TokenTransformer(n_features, self.width, self.layers, self.heads, self.dropout),
            nn.Linear(self.width, n_lambdas * n_models),
            nn.Unflatten(1, (n_lambdas, n_models)),
        )
