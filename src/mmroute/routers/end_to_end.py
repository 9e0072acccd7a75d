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
from mmroute.routers.soft_labels import DEVELOPMENT, Lessons, SoftLabelRouter
from mmroute.routers.towers import Towers

Objective = Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]
"""Head, (b, d) features and their (b,) rows in the training split to the mean loss."""

Samples = np.ndarray | pd.DataFrame
"""What a network reads: (N, d) features or a frame of N samples."""

PUBLISHED: dict[str, Any] = {
    "batch_size": 16,
    "patience": 2,
    "weight_decay": 0.01,
    "warm_up": 0.1,
}
"""Of the schedule for whole networks, what no parameter gives."""


@dataclass(eq=False, repr=False, kw_only=True)
class EndToEndRouter(Networks, SoftLabelRouter):
    """A head on [t ; v] with a score per lambda and model.

    ``mode`` says what is trained:

    - ``frozen``: the head, on stored embeddings.
    - ``finetune``: also the towers of the OpenCLIP model ``clip_model`` with the
      weights ``pretrained``; meant for a GPU. ``Z`` is then the frame of samples. The
      head is trained first, on what the towers give, and then all together.

    The epoch is kept whose rank score on the development samples is the best. A subclass
    builds its head in ``_head``, and may replace the loss in ``_objective``.

    Published
    ---------
    What the four end-to-end routers of https://github.com/yutao1024/SCOPE-Router share: AdamW
    with a weight decay of 0.01, batches of 16, 5 epochs, 10 % of the steps to warm up, a
    patience of 2. ``finetune`` follows it. Departures of all four:

    - Embeddings by any encoder, or OpenCLIP's towers, stand in for ViT-B/16 with LXMERT or
      VisualBERT: one backbone for the whole project, and ``frozen`` needs no GPU.
    - A head alone has a schedule of ours: so few steps as small as a backbone's would leave it
      as it was drawn. Before towers are tuned it is trained so, as what a random head sends
      back would spoil them.
    - The towers are shared by all lambdas, and the best epoch is that of their mean rank
      score, where the code trains a network for each: six would take six times the time and
      the room.
    - Gradients are not clipped to a norm of 1, which would tie the lambdas' heads together;
      AdamW's steps hardly depend on the norm.
    - The development samples are those of ``split.development``. Without it they are an eighth
      of the training split; of fewer than 50 there are none, and the last epoch stays.

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
    finetune_epochs: Annotated[int, Ge(1)] = 5
    finetune_learning_rate: Annotated[float, Gt(0)] = 2e-5
    epochs: Annotated[int, Ge(1)] = 100
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 64
    patience: Annotated[int, Ge(1)] = 10
    random_state: int = 0

    @abstractmethod
    def _head(self, n_features: int, n_lambdas: int, n_models: int) -> nn.Module:
        """Build a network from (b, n_features) to (b, n_lambdas, n_models) logits."""

    def _objective(self, labels: torch.Tensor, taught: np.ndarray) -> Objective:
        """Return the loss: cross-entropy to the labels, over the observed models.

        Parameters
        ----------
        labels
            (n, G, K) on the network's device, NaN where an outcome is missing.
        taught
            (n,) which of them the network is trained on.
        """

        def loss(head: nn.Module, features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return soft_cross_entropy(head(features), labels[rows])

        return loss

    def _learn(self, Z: Samples, lessons: Lessons) -> None:
        towers = (
            Towers(self.clip_model, self.pretrained) if self.mode == "finetune" else nn.Identity()
        )
        features = self._apply(towers, Z)
        self.n_features_, self.n_models_ = features.shape[1], lessons.labels.shape[2]
        targets = lessons.labels.swapaxes(0, 1)
        objective = self._objective(
            torch.as_tensor(targets, dtype=torch.float32, device=device()), lessons.taught
        )
        schedule = replace(Schedule.of(self), validation_share=DEVELOPMENT)
        network = self._train(
            lambda: self._behind(nn.Identity()), features, objective, schedule, lessons
        )
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
                    **PUBLISHED,
                ),
                lessons,
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
        lessons: Lessons,
    ) -> nn.Sequential:
        read = _reader(Z)

        def loss(network: nn.Sequential, rows: torch.Tensor) -> torch.Tensor:
            towers, head = network
            return objective(head, towers(read(rows)), rows)

        def quality(network: nn.Sequential, rows: torch.Tensor) -> float:
            # The held-out rows come all at once, and may be too many for one pass.
            logits = torch.cat([network(read(part)) for part in rows.split(self.batch_size)])
            scores = logits.transpose(0, 1).cpu().numpy()
            return float(lessons.rank_scores(rows.cpu().numpy(), scores).mean())

        return train(build, loss, len(Z), schedule, **lessons.rows, quality=quality)

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
