"""What the end-to-end routers of VL-RouterBench share: a network on both embeddings."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from annotated_types import Ge, Gt
from scipy.special import softmax
from torch import nn

from mmroute.routers.gradients import Networks, Schedule, device, soft_cross_entropy, train
from mmroute.routers.soft_labels import SoftLabelRouter
from mmroute.routers.towers import Towers

Objective = Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]
"""Head, (b, d) features and their (b,) rows in the training split to the mean loss."""

Samples = np.ndarray | pd.DataFrame
"""What a network reads: (N, d) features or a frame of N samples."""


@dataclass(eq=False, repr=False, kw_only=True)
class EndToEndRouter(Networks, SoftLabelRouter):
    """A head on [t ; v] with a score per lambda and model.

    The paper fine-tunes a multimodal backbone. Here ``mode`` says what is trained:

    - ``frozen``: the head, on stored embeddings.
    - ``finetune``: also the towers of the OpenCLIP model ``clip_model`` with the
      weights ``pretrained``; meant for a GPU. ``Z`` is then the frame of samples. The
      head is trained first, on what the towers give, and then all together for
      ``finetune_epochs`` at ``finetune_learning_rate``: what a random head sends back
      would spoil the towers.

    Early stopping holds out a tenth of the training split, and the best epoch is that
    of all lambdas together. The paper's schedule is not known to us; the defaults are
    ours.

    A subclass builds its head in ``_head``, and may replace the loss in ``_objective``.

    Parameters
    ----------
    mode
        What is trained: the head alone, or the towers too.
    clip_model, pretrained
        The towers, as ``model`` and ``pretrained`` of the encoder.
    finetune_epochs, finetune_learning_rate
        Of head and towers together.
    """

    trained_encoder: ClassVar[Mapping[str, Any]] = {
        "name": "open_clip",
        "parameters": {"model": "clip_model", "pretrained": "pretrained"},
        "where": {"mode": "finetune"},
    }
    mode: Literal["frozen", "finetune"] = "frozen"
    clip_model: str = "ViT-B-32"
    pretrained: str = "openai"
    finetune_epochs: Annotated[int, Ge(1)] = 10
    finetune_learning_rate: Annotated[float, Gt(0)] = 1e-5
    epochs: Annotated[int, Ge(1)] = 100
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 64
    patience: Annotated[int, Ge(1)] = 10
    random_state: int = 0

    @abstractmethod
    def _head(self, n_features: int, n_lambdas: int, n_models: int) -> nn.Module:
        """Build a network from (b, n_features) to (b, n_lambdas, n_models) logits."""

    def _objective(self, features: np.ndarray, labels: torch.Tensor) -> Objective:
        """Return the loss: cross-entropy to the labels, over the observed models.

        Parameters
        ----------
        features
            (n, d) of the training split, by towers that are not trained yet.
        labels
            (n, G, K) on the network's device, NaN where an outcome is missing.
        """

        def loss(head: nn.Module, features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return soft_cross_entropy(head(features), labels[rows])

        return loss

    def _learn(self, Z: Samples, labels: np.ndarray) -> None:
        towers = (
            Towers(self.clip_model, self.pretrained) if self.mode == "finetune" else nn.Identity()
        )
        features = self._apply(towers, Z)
        self.n_features_, self.n_models_ = features.shape[1], labels.shape[2]
        targets = torch.as_tensor(labels.swapaxes(0, 1), dtype=torch.float32, device=device())
        objective = self._objective(features, targets)
        schedule = Schedule.of(self)
        network = self._train(lambda: self._behind(nn.Identity()), features, objective, schedule)
        if self.mode == "finetune":
            _, head = network
            network = self._train(
                lambda: nn.Sequential(towers, head),
                Z,
                objective,
                replace(
                    schedule,
                    epochs=self.finetune_epochs,
                    learning_rate=self.finetune_learning_rate,
                ),
            )
        self.network_ = network

    def _networks(self) -> dict[str, nn.Module]:
        tuned = self.mode == "finetune"
        towers = Towers.untrained(self.clip_model, self.pretrained) if tuned else nn.Identity()
        return {"network_": self._behind(towers)}

    def _behind(self, towers: nn.Module) -> nn.Sequential:
        """Return a network of towers and an untrained head."""
        return nn.Sequential(towers, self._head(self.n_features_, len(self.grid), self.n_models_))

    def _train(
        self,
        build: Callable[[], nn.Sequential],
        Z: Samples,
        objective: Objective,
        schedule: Schedule,
    ) -> nn.Sequential:
        read = _reader(Z)

        def loss(network: nn.Sequential, rows: torch.Tensor) -> torch.Tensor:
            towers, head = network
            # The held-out rows come all at once, and may be too many for one pass.
            parts = rows.split(self.batch_size)
            losses = [len(part) * objective(head, towers(read(part)), part) for part in parts]
            return torch.stack(losses).sum() / len(rows)

        return train(build, loss, len(Z), schedule)

    def predict_scores(self, Z: Samples) -> np.ndarray:
        """Return the softmax over models of each lambda's logits."""
        logits = self._apply(self.network_, Z).astype(np.float64)
        return softmax(logits, axis=2).swapaxes(0, 1)

    def _apply(self, network: nn.Module, Z: Samples) -> np.ndarray:
        """Return what a network makes of all samples, on the GPU if there is one."""
        network.to(device()).eval()
        read = _reader(Z)
        with torch.inference_mode():
            outputs = [
                network(read(rows)).cpu() for rows in torch.arange(len(Z)).split(self.batch_size)
            ]
        network.cpu()
        return torch.cat(outputs).numpy()


def _reader(Z: Samples) -> Callable[[torch.Tensor], pd.DataFrame | torch.Tensor]:
    """Return a function from row indices to these rows, as a network reads them."""
    if isinstance(Z, pd.DataFrame):
        return lambda rows: Z.iloc[rows.cpu().numpy()]
    inputs = torch.as_tensor(Z, dtype=torch.float32, device=device())
    return lambda rows: inputs[rows.to(inputs.device)]
