"""The one training loop of the routers that need gradients."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    epochs
        The most passes over the training rows.
    learning_rate, weight_decay, batch_size
        Of AdamW, which without decay is Adam.
    patience
        Epochs without a better validation after which training ends. None: no row is held out,
        and the weights of the last epoch stay.
    validation_share
        Share of the rows held out for that; the weights of the best epoch stay.
        Fewer than 50 rows are all trained on, to the last epoch.
    random_state
        Seed of the held-out rows, the batches, and anything that the network draws.
    warm_up
        Share of the steps in which the learning rate rises from 0, to fall back to it in the
        others; 0 leaves it as it is.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    random_state: int
    weight_decay: float = 0.0
    patience: int | None = 10
    validation_share: float = 0.1
    warm_up: float = 0.0

    @classmethod
    def of(cls, router: Any) -> Self:
        """The schedule that the parameters of a router are."""
        return cls(
            router.epochs,
            router.learning_rate,
            router.batch_size,
            router.random_state,
            patience=router.patience,
        )

    def rate(self, step: int, steps: int) -> float:
        """The part of the learning rate that a step of so many has."""
        if not self.warm_up:
            return 1.0
        warm = int(self.warm_up * steps)
        return step / warm if step < warm else (steps - step) / max(steps - warm, 1)


Network = TypeVar("Network", bound=nn.Module)

FEWEST_TO_HOLD_OUT = 50
PREDICTED_AT_ONCE = 4096


class Networks(BaseEstimator):
    """What routers share that have networks: they are stored as arrays, and built anew by code.

    A subclass sets ``n_features_`` and ``n_models_`` before it builds them.

    Parameters
    ----------
    epochs
        The most passes over the training rows.
    learning_rate, batch_size
        Of Adam.
    patience
        Epochs without a better result on held-out rows after which training ends; None, where
        that is allowed: no row is held out, and all epochs run.
    """

    n_features_: int
    n_models_: int
    arrays_: dict[str, dict[str, np.ndarray]]
    """In the stored state, in place of the networks: the arrays of each, by name."""

    @abstractmethod
    def _networks(self) -> dict[str, nn.Module]:
        """Build an untrained network for each attribute that has one."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, with arrays in place of networks."""
        state = dict(super().__getstate__())
        networks = [name for name, value in state.items() if isinstance(value, nn.Module)]
        arrays = {name: _arrays(state.pop(name)) for name in networks}
        return state | ({"arrays_": arrays} if arrays else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the attributes, and build the networks around their arrays.

        Raises ValueError if an array has not the shape and type that the network wants.
        """
        arrays = state.pop("arrays_", {})
        super().__setstate__(state)
        if not arrays:
            return
        # Nothing is allocated before the arrays are seen to fit, however wide a network is said
        # to be.
        with torch.device("meta"):
            networks = self._networks()
        if arrays.keys() != networks.keys():
            raise ValueError(f"arrays for {sorted(arrays)}, not for {sorted(networks)}")
        for name, network in networks.items():
            setattr(self, name, _filled(network, arrays[name]))


def _arrays(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}


def _filled(network: nn.Module, arrays: dict[str, np.ndarray]) -> nn.Module:
    """Return a network with its trained weights, in evaluation mode."""
    for name, tensor in network.state_dict().items():
        if name in arrays and torch.from_numpy(arrays[name]).dtype != tensor.dtype:
            raise ValueError(f"{name} holds {arrays[name].dtype}, not {tensor.dtype}")
    # Copies: torch aligns its memory by more than NumPy does.
    tensors = {name: torch.from_numpy(array).clone() for name, array in arrays.items()}
    network.load_state_dict(tensors, assign=True)
    return network.eval()


def drawn(*shape: int, scale: float = 1.0) -> nn.Parameter:
    """Parameter drawn from a normal distribution, unless it has a shape only and no memory."""
    numbers = torch.empty(shape)
    # There PyTorch would import its compiler, which takes seconds and writes a folder.
    return nn.Parameter(numbers if numbers.is_meta else numbers.normal_().mul_(scale))


def device() -> torch.device:
    """Return the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def seeded(random_state: int) -> Iterator[None]:
    """Make what torch draws inside depend on the seed only, and nothing outside on it."""
    with torch.random.fork_rng():
        torch.manual_seed(random_state)
        yield


def train(
    build: Callable[[], Network],
    loss: Callable[[Network, torch.Tensor], torch.Tensor],
    n_samples: int,
    schedule: Schedule,
    groups: np.ndarray | None = None,
    taught: np.ndarray | None = None,
    quality: Callable[[Network, torch.Tensor], float] | None = None,
    held: np.ndarray | None = None,
) -> Network:
    """Build a network and minimise a loss.

    Parameters
    ----------
    build
        Makes the network; what it draws is seeded.
    loss
        Network and (b,) row indices on the network's device to the mean loss over
        the observed outcomes of these rows. Rows without any may give NaN: such a
        batch is left out.
    n_samples
        Training rows.
    schedule
        How to train.
    groups
        (n_samples,) number of each row's group, which is held out whole or not at all; None:
        each row is one of its own.
    taught
        (n_samples,) rows to train on, of those that are not held out; None: all.
    quality
        What is to be largest on the held-out rows, given like the loss; None: less the loss.
    held
        (n_samples,) rows to hold out; None: those of some groups, as the schedule says.

    Returns
    -------
    The network of the best epoch, in evaluation mode, on the CPU.
    """
    target = device()
    with seeded(schedule.random_state):
        network = build().to(target)
        groups = np.arange(n_samples) if groups is None else groups
        validation, rows = (
            torch.from_numpy(part).to(target) for part in hold_out(groups, schedule, taught, held)
        )
        optimiser = torch.optim.AdamW(
            [weights for weights in network.parameters() if weights.requires_grad],
            lr=schedule.learning_rate,
            weight_decay=schedule.weight_decay,
        )
        steps = schedule.epochs * -(-len(rows) // schedule.batch_size)
        rate = torch.optim.lr_scheduler.LambdaLR(optimiser, partial(schedule.rate, steps=steps))
        best, best_quality, since = None, -float("inf"), 0
        for _ in tqdm(range(schedule.epochs), desc="epochs", mininterval=5, leave=False):
            network.train()
            for batch in torch.randperm(len(rows)).split(schedule.batch_size):
                value = loss(network, rows[batch.to(target)])
                if torch.isfinite(value):
                    optimiser.zero_grad()
                    value.backward()
                    optimiser.step()
                    rate.step()
            if not len(validation):
                continue
            network.eval()
            with torch.no_grad():
                own = quality(network, validation) if quality else -float(loss(network, validation))
            if own > best_quality:
                best, best_quality, since = copy.deepcopy(network.state_dict()), own, 0
            else:
                since += 1
                if schedule.patience is not None and since >= schedule.patience:
                    break
        if best is not None:
            network.load_state_dict(best)
    return network.cpu().eval()


def hold_out(
    groups: np.ndarray,
    schedule: Schedule,
    taught: np.ndarray | None = None,
    held: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that are held out and those that are trained on.

    Groups are drawn until they have the share that is wanted. Where they have more than half of
    the rows then, or all that are to be trained on, there are too few groups to spare one.

    Parameters
    ----------
    groups
        (n,) number of each row's group.
    schedule
        What share to hold out, and the seed.
    taught
        (n,) rows to train on, of those that are not held out; None: all.
    held
        (n,) rows to hold out in place of drawn ones.
    """
    taught = np.ones(len(groups), bool) if taught is None else taught
    if held is not None:
        return np.flatnonzero(held), np.flatnonzero(~held & taught)
    member, distinct = pd.factorize(groups)
    drawn = np.random.default_rng(schedule.random_state).permutation(len(distinct))
    turn = np.argsort(drawn)[member]
    order = np.argsort(turn, kind="stable")
    held = np.zeros(len(groups), dtype=bool)
    if len(groups) >= FEWEST_TO_HOLD_OUT and schedule.patience is not None:
        held = turn[order] <= turn[order[round(schedule.validation_share * len(groups)) - 1]]
    if held.sum() > len(groups) / 2 or not taught[order[~held]].any():
        held[:] = False
    return order[held], order[~held & taught[order]]


def apply(network: nn.Module, Z: np.ndarray) -> np.ndarray:
    """Return a trained network's float64 outputs for (N, d) features, on the CPU."""
    with torch.inference_mode():
        parts = torch.as_tensor(Z, dtype=torch.float32).split(PREDICTED_AT_ONCE)
        return torch.cat([network(part) for part in parts]).double().numpy()


def masked_squared_error(
    Z: np.ndarray, Y: np.ndarray
) -> Callable[[nn.Module, torch.Tensor], torch.Tensor]:
    """Return the mean squared error over the observed ones of (n, K) targets, for ``train``."""
    inputs = torch.as_tensor(Z, dtype=torch.float32, device=device())
    observed = torch.as_tensor(np.isfinite(Y), device=device())
    target = torch.as_tensor(np.nan_to_num(Y), dtype=torch.float32, device=device())

    def loss(network: nn.Module, rows: torch.Tensor) -> torch.Tensor:
        return (network(inputs[rows]) - target[rows])[observed[rows]].square().mean()

    return loss


def masked_cross_entropy(
    Z: np.ndarray, U: np.ndarray
) -> Callable[[nn.Module, torch.Tensor], torch.Tensor]:
    """Return the mean cross-entropy of logits to (n, K) utilities observed, for ``train``.

    A utility between 0 and 1 counts as right with its own weight and as wrong with the rest.
    """
    inputs = torch.as_tensor(Z, dtype=torch.float32, device=device())
    observed = torch.as_tensor(np.isfinite(U), device=device())
    target = torch.as_tensor(np.nan_to_num(U), dtype=torch.float32, device=device())

    def loss(network: nn.Module, rows: torch.Tensor) -> torch.Tensor:
        known = observed[rows]
        return binary_cross_entropy_with_logits(network(inputs[rows])[known], target[rows][known])

    return loss


def soft_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of (b, G, K) logits to labels, NaN where a model is missing.

    A missing model takes no part in its sample's softmax.
    """
    missing = labels.isnan()
    likelihood = logits.masked_fill(missing, -torch.inf).log_softmax(dim=2)
    agreement = labels.nan_to_num() * likelihood.masked_fill(missing, 0)
    return -agreement.sum(dim=2).mean()
