"""A router in use: what ``mmroute export`` wrote, loaded and asked query by query.

The folder holds

``router.json``
    what the router is, see ``card``: its row, policy and threshold, the models with their
    prices, encoders with a checksum;
``router.safetensors``, ``features.safetensors``
    the trained router and the fitted fusion, without pickle;
``curve.safetensors``
    the operating points on cross-fitted predictions of the labels that thresholds are chosen
    on, the dearest first, and how far what is foreseen there can be trusted;
``seen.safetensors``
    what the labels were like, in numbers, see ``drift``;
``README.md``
    the model card;
``SHA256SUMS``
    digests of all of them, which find damage; they are no signature.

A folder may be a stranger's. Nothing of it is run, sent or written unless the caller says so.
"""

import asyncio
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_list_like
from PIL import Image

from mmroute.catalogue import build
from mmroute.config import Named, RouterConfig
from mmroute.decision.card import CARD, CURVE, FEATURES, ROUTER, Card, Kept, read_card
from mmroute.decision.messages import query_of
from mmroute.decision.rule import SURE, Foresight, own_policy
from mmroute.encoders import Encoder, Modality
from mmroute.errors import DamagedFile, InputError, is_utf8, naming_extra
from mmroute.evaluation.curve import Steps, steps_of
from mmroute.evaluation.shrinkage import Shrinkage
from mmroute.features.embeddings import Embeddings, embed
from mmroute.features.fusion import Features, Fusion
from mmroute.features.side_features import side_features
from mmroute.images import BETWEEN, MOST_IMAGES, decode, each, joined, quiet_decoding
from mmroute.persistence import read
from mmroute.predictions import Predictions
from mmroute.routers import GridRouter, Router
from mmroute.storage import digest_bytes, digest_file
from mmroute.training import predict

CURVE_COLUMNS = (
    "threshold",
    "cost_usd_per_1000",
    "utility",
    "listed_ratio",
    "predicted_ratio",
    "error_usd_per_1000",
)
LONGEST_PATH = 4096
LONGEST_TEXT = 100_000
"""Characters of a query's text that decide; encoders of texts read fewer."""
# Of objects: a column is looked up faster than in an index of strings.
_COLUMNS = pd.Index(["sample_id", "dataset", "question", "image"], dtype=object)
AnImage = str | Path | bytes
"""The path of an image file, or its content."""
PROBE_TEXT = "Which of the 3 lines, A, B or C, is longer than 12.5 cm?"
PROBE_TOLERANCE = 1e-2
"""Of a probe's unit vector: other hardware and library versions round otherwise."""


class Routed(NamedTuple):
    """The answer to one query.

    Attributes
    ----------
    model
        The model to ask.
    utility, cost_usd
        By model, what is predicted of its answer: utility in [0, 1], up to the error of the
        prediction, and the cost in USD.
    confidence
        Predicted utility of the model to ask, within [0, 1].
    """

    model: str
    utility: dict[str, float]
    cost_usd: dict[str, float]
    confidence: float


@dataclass(frozen=True)
class Decisions:
    """The answers to N queries.

    Attributes
    ----------
    models
        K names.
    choice
        (N,) indices of the models to ask.
    utility, cost_usd
        (N, K) predictions.
    kept
        Whether they are sure to keep the limit together; None without a limit.
    """

    models: Sequence[str]
    choice: np.ndarray
    utility: np.ndarray
    cost_usd: np.ndarray
    kept: bool | None = None

    @property
    def confidence(self) -> np.ndarray:
        """(N,) predicted utility of the model to ask, within [0, 1]."""
        return np.clip(self.utility[np.arange(len(self.choice)), self.choice], 0, 1)

    def __len__(self) -> int:
        """The number of queries."""
        return len(self.choice)

    def __getitem__(self, index: int) -> Routed:
        """The answer to one query."""
        return Routed(
            self.models[self.choice[index]],
            dict(zip(self.models, self.utility[index].tolist(), strict=True)),
            dict(zip(self.models, self.cost_usd[index].tolist(), strict=True)),
            float(self.confidence[index]),
        )


class DeployedRouter:
    """A trained router, ready to be asked; ``load_router`` makes one.

    Any number of threads may ask it at once.

    Attributes
    ----------
    models
        The K models that it chooses among.
    card
        The content of ``router.json``.
    allowed
        (K,) mask of the models that it may choose: those that are not too slow.
    watch
        Is told the N queries of each prediction, see ``features``, and their (N, d) features.
    """

    watch: Callable[[pd.DataFrame, np.ndarray], None] | None = None

    def __init__(
        self, card: Card, folder: Path, trusted: Sequence[str], network: bool, key_variable: str
    ) -> None:
        self.card = card
        self.models = [model.model for model in card.models]
        self.allowed = ~np.isin(self.models, card.left_out)
        self._blind = np.isin(self.models, card.blind)
        # Encoders set what belongs to the whole process: warnings' filters, and PyTorch's threads.
        # Apart, so that a text does not wait for images to be decoded.
        self._encoding = {"text": threading.Lock(), "image": threading.Lock()}
        self._config = card.router_config(trusted)
        self._encoders = {name: card.encoder(name, trusted) for name in card.encoders}
        self._network = network
        for described in (self._config, *self._encoders.values()):
            _require_outside(described, folder)
        self._router = None
        self._features: Features | None = None
        if self._config:
            self._router = _read_router(folder / ROUTER, self._config, trusted)
            if self._router.reaches_network:
                _require_network(self._router, network)
                self._router.take_up(key_variable, len(self.models))
            if self._config.fusion:
                self._features = _read_features(folder / FEATURES, self._config.fusion, trusted)
        self._shrinkage = card.shrinkage and Shrinkage(
            card.shrinkage.rho, np.array(card.shrinkage.means)
        )
        self._curve = _read_curve(folder / CURVE)
        self._means = tuple(
            np.array([getattr(model, name) for model in card.models])
            for name in ("utility", "cost_usd")
        )
        self._try()

    def route(
        self,
        text: str | None = None,
        image: AnImage | Sequence[AnImage] | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        dataset: str = "",
        models: Sequence[str] | None = None,
        budget: float | None = None,
        trade_off: float | None = None,
        trade_off_usd: float | None = None,
        images_from_network: bool = False,
    ) -> Routed:
        """Choose the model for one query.

        One with an image goes to a model that sees.

        Parameters
        ----------
        text
            The question.
        image
            The path of an image file, or its content; a sequence of several, in order.
        messages
            A conversation as of OpenAI's API instead, see ``query_of``: the query is what the
            user says last.
        dataset
            The data set that the query belongs to, for a router that goes by it.
        models
            Names of the models that are available now; None: all.
        budget
            USD per 1,000 queries, not to be exceeded on average by queries like the labelled
            ones: the threshold is chosen on the router's operating curve there. For a stream
            whose cost is to be kept, see ``Budget``.
        trade_off
            Utility per normalised cost, the lambda of the policy family ``lambda``. With
            none of these, the threshold that was exported holds.
        trade_off_usd
            The same as utility per USD of one query: at 100 a model may cost 0.001 USD more where
            its predicted utility is more than 0.1 higher.
        images_from_network
            Whether images that messages name by http and https URLs are fetched.

        Raises
        ------
        InputError
            If there is neither text nor image, if the image cannot be read, if a model is not
            in the pool or none is left, if no threshold keeps the budget, or if the router has no
            such parameter.
        """
        predictions = self.foresee_one(
            text,
            image,
            dataset,
            messages=messages,
            models=models,
            images_from_network=images_from_network,
        )
        return self.choose(predictions, self.threshold(budget, trade_off, trade_off_usd))[0]

    async def aroute(self, *query: Any, **how: Any) -> Routed:
        """``route`` in another thread; arguments and errors as there."""
        return await asyncio.to_thread(self.route, *query, **how)

    def route_all(
        self,
        queries: pd.DataFrame,
        *,
        models: Sequence[str] | None = None,
        budget: float | None = None,
        trade_off: float | None = None,
        trade_off_usd: float | None = None,
        threads: int = 1,
    ) -> Decisions:
        """Choose the models for N queries at once.

        Parameters
        ----------
        queries
            ``question``, text; ``image``, the path of a file, a list of several, or null;
            ``dataset`` where the router goes by it. A missing column is empty throughout.
        models
            As for ``route``, of all queries.
        budget
            USD per 1,000 queries, not to be exceeded by these. Without it the limit that was
            exported holds, if there is one.
        trade_off, trade_off_usd
            As for ``route``.
        threads
            Threads for images.

        Raises
        ------
        InputError
            As ``route``, naming the first such query.
        """
        return self.decide(
            self.foresee(queries, threads, models),
            budget=budget,
            trade_off=trade_off,
            trade_off_usd=trade_off_usd,
        )

    def route_embedded(
        self,
        text: Embeddings,
        image: Embeddings,
        side: np.ndarray | None = None,
        *,
        models: Sequence[str] | None = None,
        budget: float | None = None,
        trade_off: float | None = None,
        trade_off_usd: float | None = None,
    ) -> Decisions:
        """Choose the models for N queries whose embeddings are known.

        Parameters
        ----------
        text, image
            Embeddings by the router's own encoders.
        side
            (N, s) side features, for a fusion that has them.
        models, budget, trade_off, trade_off_usd
            As for ``route_all``.
        """
        return self.decide(
            self.foresee_embedded(text, image, side, models),
            budget=budget,
            trade_off=trade_off,
            trade_off_usd=trade_off_usd,
        )

    def foresee(
        self,
        queries: pd.DataFrame,
        threads: int = 1,
        models: Sequence[str] | None = None,
    ) -> Predictions:
        """Predict N queries for ``decide``; arguments as for ``route_all``."""
        samples = pd.DataFrame(
            {
                "sample_id": queries.index.astype(str),
                "dataset": queries.get("dataset", ""),
                "question": queries.get("question", pd.Series("", queries.index)).fillna(""),
                "image": pd.Series(
                    list(map(_paths, queries.get("image", [None] * len(queries)))),
                    queries.index,
                    object,
                ),
            }
        ).reset_index(drop=True)
        return self._foresaw(samples, samples["image"].notna().to_numpy(), threads, models)

    def foresee_one(
        self,
        text: str | None,
        image: AnImage | Sequence[AnImage] | None,
        dataset: str = "",
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        models: Sequence[str] | None = None,
        images_from_network: bool = False,
    ) -> Predictions:
        """Predict one query for ``decide``; arguments as for ``route``."""
        if messages is not None:
            if text is not None or image is not None:
                raise InputError("messages: got text or an image, too; give the one or the other")
            text, image, pictured = query_of(messages, images_from_network)
        else:
            pictured = bool(_listed(image))
        with _as_files(image) as files:
            query = ["0", dataset, text or "", _paths(files)]
            samples = pd.DataFrame([query], columns=_COLUMNS, dtype=object)
            return self._foresaw(samples, np.array([pictured]), 1, models)

    def _foresaw(
        self,
        samples: pd.DataFrame,
        pictured: np.ndarray,
        threads: int,
        models: Sequence[str] | None,
    ) -> Predictions:
        """Predict the queries of a frame, ``pictured`` where an image goes along."""
        possible = self.possible(pictured, models)
        _require_input(samples)
        samples["question"] = [text[:LONGEST_TEXT] for text in samples["question"]]
        return replace(
            self._foresee(samples, threads), sample_ids=samples["sample_id"], possible=possible
        )

    def possible(
        self, pictured: np.ndarray, models: Sequence[str] | None = None
    ) -> np.ndarray | None:
        """Which models can be asked.

        Parameters
        ----------
        pictured
            (N,) mask of the queries with an image, which a model has to see.
        models
            Names of those that are available; None: all.

        Returns
        -------
        (N, K) mask with at least one model for each query; None: all.

        Raises
        ------
        InputError
            If a name is not in the pool, or if there is no model for a query.
        """
        blind = bool(self._blind.any() and pictured.any())
        if models is None and not blind:
            return None
        available = self.allowed
        if models is not None:
            if isinstance(models, str) or not len(models):
                raise InputError(f"models: {models!r:.80} is no list of names; give one")
            if unknown := [name for name in models if name not in self.models]:
                raise InputError(
                    f"models: no model {unknown[0]!r:.80} in the pool; it has: "
                    f"{', '.join(self.models)}"
                )
            available = available & np.isin(self.models, list(models))
            if not available.any():
                raise InputError(
                    f"models: {', '.join(models):.200}: left out by the router as too slow; give "
                    "others"
                )
        possible = available & ~(pictured[:, None] & self._blind)
        if not possible.any(axis=1).all():
            raise InputError(
                f"query {int((~possible.any(axis=1)).argmax()) + 1}: has an image, and none of "
                f"{', '.join(np.array(self.models)[available]):.200} sees it; give one that does"
            )
        return possible

    def decide(
        self,
        predictions: Predictions,
        *,
        budget: float | None = None,
        trade_off: float | None = None,
        trade_off_usd: float | None = None,
    ) -> Decisions:
        """Choose the models for queries that were foreseen; arguments as for ``route_all``.

        Where there are too few queries for the limit to be surely kept on them, the threshold is
        the one that keeps it on average for queries like the labelled ones.
        """
        threshold = self.threshold(budget, trade_off, trade_off_usd)
        given = trade_off is not None or trade_off_usd is not None
        if given or self._router is None or not len(predictions.sample_ids):
            return self.choose(predictions, threshold)
        if budget is None and self.card.listed_usd is not None:
            foresight = self.foresight(predictions)
            return self.choose(predictions, foresight.spending(self.card.listed_usd))
        limit = self.card.limit if budget is None else self.limit(budget)
        if limit is None:
            return self.choose(predictions, threshold)
        own = self.foresight(predictions).keeping(
            limit.usd,
            np.array([limit.listed_ratio, limit.predicted_ratio]),
            limit.reserve_usd * self.error(len(predictions.sample_ids)),
        )
        decisions = self.choose(predictions, threshold if own is None else own)
        return replace(decisions, kept=own is not None)

    @property
    def goes_by_predictions(self) -> bool:
        """Whether the utilities and costs that it predicts decide, and nothing else."""
        predicts = self._config is not None and self._config.predicts
        return predicts and not isinstance(self._router, GridRouter)

    def foresight(self, predictions: Predictions) -> Foresight:
        """What the choices for some queries cost, by the parameter of the policy."""
        predicted = predictions.c_hat[0] * self.card.unit_usd
        policy = own_policy(predictions, self.card.policy)
        return Foresight.of(self._steps(predictions), self._means[1], predicted, policy)

    def foresight_on_labels(self, limit: Kept) -> Foresight:
        """What the choices for the labels have cost, told as if by the list."""
        listed = self._curve["cost_usd_per_1000"].to_numpy() / 1000 / (limit.listed_ratio or 1)
        return Foresight(self._curve["threshold"].to_numpy(), listed, np.zeros_like(listed))

    def threshold(
        self,
        budget: float | None = None,
        trade_off: float | None = None,
        trade_off_usd: float | None = None,
    ) -> float | None:
        """The parameter of the policy family, None without; arguments as for ``route``."""
        how = {"budget": budget, "trade_off": trade_off, "trade_off_usd": trade_off_usd}
        given = {name: value for name, value in how.items() if value is not None}
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)}: got both; give one of them")
        if not given:
            return self.card.threshold
        ((name, value),) = given.items()
        if name == "budget":
            return float(self._point(value)["threshold"])
        if self._router is None or self.card.policy != "lambda":
            raise InputError(
                f"{name}: {self.card.row!r} was exported with "
                + (
                    "a single model, which has none; leave it out"
                    if self._router is None
                    else f"the policy {self.card.policy!r}; give budget instead"
                )
            )
        if not 0 <= value < np.inf:
            raise InputError(f"{name}: {value} is no number of at least 0; give one")
        return value * self.card.unit_usd if name == "trade_off_usd" else value

    def error(self, n_queries: int) -> float:
        """Standard error of a mean over queries and labels, where that of one is 1."""
        return float(np.sqrt(1 / self.card.n_labels + 1 / n_queries))

    def _point(self, budget: float) -> pd.Series:
        """The dearest point of the curve that keeps a budget on as many queries as labels."""
        if not np.isfinite(budget):
            raise InputError(f"budget: {budget} is no number; give USD per 1,000 queries")
        curve = self._curve
        reserve = SURE * curve["error_usd_per_1000"] * self.error(self.card.n_labels)
        at_most = curve["cost_usd_per_1000"] + reserve
        kept = np.flatnonzero(at_most <= budget)
        if not len(kept):
            raise InputError(
                f"budget: {budget} USD per 1,000 queries is not surely kept by any threshold of "
                f"{self.card.row!r}; give at least {at_most.min():.6g}"
            )
        return curve.iloc[kept[0]]

    def limit(self, budget: float) -> Kept:
        """What is known of the router where it keeps a budget on the labels."""
        point = self._point(budget)
        return Kept(
            usd=budget / 1000,
            listed_ratio=point["listed_ratio"],
            predicted_ratio=point["predicted_ratio"],
            reserve_usd=SURE * point["error_usd_per_1000"] / 1000,
        )

    def _steps(self, predictions: Predictions, allowed: np.ndarray | None = None) -> Steps:
        possible = np.tile(self.allowed, (len(predictions.sample_ids), 1))
        for mask in (predictions.possible, allowed):
            if mask is not None:
                possible &= mask
        return steps_of(predictions, 0, possible, self.card.policy)

    def choose(
        self,
        predictions: Predictions,
        parameter: float | None,
        allowed: np.ndarray | None = None,
    ) -> Decisions:
        """Choose the models at one value of the policy's parameter.

        ``allowed`` is the (N, K) mask of the models that may be chosen, at least one for each
        query among those that can be asked; None: all.
        """
        n_queries = len(predictions.sample_ids)
        utility, cost_usd = (np.tile(means, (n_queries, 1)) for means in self._means)
        if self._config is not None and self._config.predicts:
            utility = predictions.u_hat[0].astype(float)
            cost_usd = predictions.c_hat[0] * self.card.unit_usd
            _require_sound((utility, cost_usd), utility.shape)
        choice = np.empty(0, int)
        if n_queries:
            with _belonging_together(), np.errstate(all="ignore"):
                choice = self._steps(predictions, allowed).choices(parameter or 0.0)
        return Decisions(self.models, choice, utility, cost_usd)

    def _static(self, samples: pd.DataFrame) -> Predictions:
        """Give the mixture's second model its share, by a hash, so that answers repeat.

        Where the one of the two cannot be asked the other is, then the best on average of those
        that are no dearer than they are, then the cheapest.
        """
        mixture, (utility, cost) = self.card.mixture, self._means
        queries = samples[["question", "image"]].to_numpy()
        number = np.array([_number_of(*query) for query in queries] if mixture.share > 0 else [])
        own = [self.models.index(name) for name in (mixture.first, mixture.second)]
        chosen = np.full(len(samples), own[0])
        chosen[: len(number)][number < mixture.share] = own[1]
        dearer = cost > cost[own].max()
        order = np.lexsort((np.where(dearer, cost, -utility), dearer))
        scores = np.tile(-order.argsort(), (len(samples), 1)).astype(float)
        scores[:, own] = 1
        scores[np.arange(len(samples)), chosen] = 2
        utility, cost = (np.tile(means, (1, len(samples), 1)) for means in self._means)
        return Predictions(samples["sample_id"], utility, cost, np.zeros(1), scores[None])

    def _foresee(self, samples: pd.DataFrame, threads: int) -> Predictions:
        if self._router is None or self._config is None:
            self._tell(samples, np.empty((len(samples), 0)))
            return self._static(samples)
        if not len(samples):
            nothing = np.empty((1, 0, len(self.models)))
            return Predictions(samples["sample_id"], nothing, nothing)
        if self._features is None:
            Z = np.empty((len(samples), 0))
            self._tell(samples, Z)
            return self._predict(self._router, samples if self._config.reads_samples else Z)
        text, image, side = self._embedded(samples, threads)
        unseen = samples["image"].notna().to_numpy() & ~image.present
        if image.missed is not None:
            unseen |= image.missed > 0
        if unseen.any():
            paths = each(samples["image"][int(unseen.argmax())])
            with quiet_decoding():
                broken = next((path for path in paths if not decode(Path(path))), paths[0])
            raise InputError(
                f"query {int(unseen.argmax()) + 1}: the image {broken:.200} cannot be decoded; "
                "give a whole JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, or leave it out"
            )
        Z = self._fused(self._features, text, image, side)
        self._tell(samples, Z)
        return self._predict(self._router, Z)

    def _tell(self, samples: pd.DataFrame, Z: np.ndarray) -> None:
        if self.watch:
            self.watch(samples, Z)

    def foresee_embedded(
        self,
        text: Embeddings,
        image: Embeddings,
        side: np.ndarray | None = None,
        models: Sequence[str] | None = None,
    ) -> Predictions:
        """Predict N queries for ``decide``; arguments as for ``route_embedded``."""
        if self._features is None or self._router is None:
            raise InputError(f"{self.card.row!r} goes by no embeddings; give route_all the queries")
        possible = self.possible(image.present, models)
        Z = self._fused(self._features, text, image, side)
        return replace(self._predict(self._router, Z), possible=possible)

    def _predict(self, router: Router, Z: np.ndarray | pd.DataFrame) -> Predictions:
        with _belonging_together(), np.errstate(all="ignore"):
            predictions = predict(router, pd.Series(np.arange(len(Z)).astype(str)), Z)
        _require_sound(
            (predictions.u_hat, predictions.c_hat, predictions.scores), (len(Z), len(self.models))
        )
        return self._shrinkage.apply(predictions) if self._shrinkage else predictions

    def _try(self) -> None:
        """Raise InputError unless the parts work together, asked what the encoders were asked."""
        if self._router is None or self._router.reaches_network:
            return
        sample = pd.DataFrame(
            {"sample_id": ["0"], "dataset": [""], "question": [PROBE_TEXT], "image": [None]},
            dtype=object,
        )
        if self._features is None:
            self.decide(self.foresee(sample))
            return
        text, image = (
            Embeddings(
                np.array([self.card.encoders[modality].probe], np.float32),
                np.ones(1, np.float32),
                np.ones(1, bool),
            )
            for modality in ("text", "image")
        )
        side = side_features(sample, Path()) if self._features.fusion.with_side else None
        self.route_embedded(text, image, side)

    def features(self, samples: pd.DataFrame, threads: int = 1) -> np.ndarray:
        """(N, d) what the router reads of N queries; d is 0 where it goes by no embeddings.

        Parameters
        ----------
        samples
            ``question``, and ``image`` as an outcome table has it, from the working folder.
        threads
            For images.
        """
        if self._features is None:
            return np.empty((len(samples), 0))
        return self._fused(self._features, *self._embedded(samples, threads))

    @staticmethod
    def _fused(
        features: Features, text: Embeddings, image: Embeddings, side: np.ndarray | None
    ) -> np.ndarray:
        if side is None:
            side = np.empty((len(text.vectors), 0), np.float32)
        with _belonging_together():
            return features.transform(text, image, side)

    def _embedded(
        self, samples: pd.DataFrame, threads: int
    ) -> tuple[Embeddings, Embeddings, np.ndarray | None]:
        """Both modalities, and the side features of a fusion that has them."""
        assert self._features is not None
        with self._encoding["image" if samples["image"].notna().any() else "text"]:
            text, image = (
                self._embed(modality, samples, threads) for modality in ("text", "image")
            )
            side = side_features(samples, Path()) if self._features.fusion.with_side else None
        return text, image, side

    def _embed(self, modality: Modality, samples: pd.DataFrame, threads: int) -> Embeddings:
        """Embed one modality; its encoder is not loaded if no query has it."""
        given = samples["image"].notna() if modality == "image" else samples["question"] != ""
        if not given.any():
            return Embeddings.masked(len(samples), len(self.card.encoders[modality].probe))
        encoder = self._text_encoder if modality == "text" else self._image_encoder
        return embed(encoder, modality, samples, Path(), threads)

    @cached_property
    def _text_encoder(self) -> Encoder:
        return self._checked("text")

    @cached_property
    def _image_encoder(self) -> Encoder:
        return self._checked("image")

    def _checked(self, modality: Modality) -> Encoder:
        described = self._encoders[modality]
        encoder = build("encoders", described.name, described.parameters)
        encoder.offline = not self._network
        expected = self.card.encoders[modality].probe
        with _belonging_together(), naming_extra(f"encoder {described.name!r}"):
            vector = probe(encoder, modality)
        if len(vector) != len(expected) or not np.allclose(vector, expected, atol=PROBE_TOLERANCE):
            raise InputError(
                f"{CARD}: encoder {described.name!r} of the {modality} gives other vectors than "
                "when the router was trained; install the version of mmroute and the checkpoint "
                "that the model card names"
            )
        return encoder


def load_router(
    folder: str | Path,
    trusted: Sequence[str] = (),
    network: bool = False,
    key_variable: str = "",
) -> DeployedRouter:
    """Load a router that ``mmroute export`` has written.

    Nothing in the folder is run, and nothing of it reaches the network or is written anywhere
    unless the caller says so here. Its numbers are its author's: digests find damage, and are no
    signature.

    Parameters
    ----------
    folder
        What was exported.
    trusted
        Modules that a router, a fusion or an encoder of your own is defined in, such as
        ``my_routers``; their code runs.
    network
        Whether the router may send queries to the endpoint that it names, and an encoder fetch
        its weights.
    key_variable
        Name of the environment variable whose content a router sends to its endpoint as key;
        empty: none.

    Raises
    ------
    InputError
        If a file is missing, damaged or not the exported one, if the card says what cannot be,
        names code that is not trusted or needs the network, or if the parts do not belong
        together.
    """
    folder = Path(folder)
    card = read_card(folder)
    try:
        return DeployedRouter(card, folder, trusted, network, key_variable)
    except DamagedFile as error:
        raise InputError(f"{error.path}: {error.wrong}; copy the whole folder again") from error
    except InputError as error:
        known = str(error)
        prefix = "" if known.startswith(str(folder)) else f"{folder / CARD}: "
        raise InputError(f"{prefix}{known}") from None


def require_usable(router: Router, fusion: Named | None, row: str) -> None:
    """Raise InputError for what cannot be used on queries whose answers nobody knows."""
    if not isinstance(router, Router) or type(router).predict_trials is not Router.predict_trials:
        raise InputError(
            f"{row!r} cannot be used: it draws, or knows what nobody knows; name another row"
        )
    if fusion and fusion.parameters.get("statistics") == "batch":
        raise InputError(
            f"{row!r}: its fusion has statistics: batch, so that a query's features depend on "
            "the other queries; use statistics: train"
        )


def _read_router(path: Path, config: RouterConfig, trusted: Sequence[str]) -> Router:
    expected = build("routers", config.name, config.parameters)
    require_usable(expected, config.fusion, config.name)
    return read(path, type(expected), trusted, config.parameters)


def _read_features(path: Path, fusion: Named, trusted: Sequence[str]) -> Features:
    expected = build("features", fusion.name, fusion.parameters)
    if not isinstance(expected, Fusion):
        raise InputError(f"fusion: {fusion.name!r:.200} is none")
    features = read(path, Features, trusted)
    if type(features.fusion) is not type(expected):
        raise InputError(
            f"{path}: holds the fusion {type(features.fusion).__name__}, not {fusion.name!r:.200}"
        )
    _require_parameters(path, features.fusion, fusion)
    return features


def _require_parameters(path: Path, stored: Router | Fusion, named: Named) -> None:
    """Raise InputError unless what is stored was made with the parameters that are told."""
    for name, told in named.parameters.items():
        if vars(stored).get(name) != told:
            raise InputError(f"{path}: {name} is {vars(stored).get(name)!r:.80}, not {told!r:.80}")


def _require_outside(described: Named | None, folder: Path) -> None:
    """Raise InputError where a parameter names a file that came with the folder."""
    for name, value in described.parameters.items() if described else ():
        if isinstance(value, str) and "\0" not in value and len(value) < LONGEST_PATH:
            path = Path(value)
            if path.exists() and path.resolve().is_relative_to(folder.resolve()):
                raise InputError(
                    f"{name}: {value!r} is a file in the folder itself; move it elsewhere if you "
                    "know its author"
                )


def _require_network(router: Router, network: bool) -> None:
    if not network:
        raise InputError(
            f"the router {router.name!r} sends each query to "
            f"{getattr(router, 'endpoint', 'the network')!r:.200}, and the "
            "network is not allowed; allow it if you know who answers there (network=True, "
            "--allow-network)"
        )


def _read_curve(path: Path) -> pd.DataFrame:
    columns = read(path, dict)
    if not isinstance(columns, dict) or columns.keys() != set(CURVE_COLUMNS):
        raise InputError(f"{path}: no curve of {', '.join(CURVE_COLUMNS)}")
    sound = all(
        isinstance(column, np.ndarray)
        and column.dtype == np.float64
        and column.ndim == 1
        and len(column) == len(columns["threshold"]) > 0
        and (name == "threshold" or (column >= 0).all())
        and np.isfinite(column).all()
        for name, column in columns.items()
    )
    if not sound:
        raise InputError(f"{path}: the curve has columns of other lengths, or what is no number")
    return pd.DataFrame(columns)


def probe(encoder: Encoder, modality: Modality) -> np.ndarray:
    """The (d,) embedding of one fixed text or image, which tells encoders apart."""
    with _as_files(None if modality == "text" else _probe_image()) as files:
        sample = pd.DataFrame({"question": [PROBE_TEXT], "image": [_paths(files)]}, dtype=object)
        return embed(encoder, modality, sample, Path(), 1).vectors[0]


def _probe_image() -> bytes:
    row, column = np.mgrid[:64, :64]
    pixels = np.stack([4 * row, 4 * column, 255 * ((row // 8 + column // 8) % 2)], axis=2)
    with tempfile.SpooledTemporaryFile() as stream:
        Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
        stream.seek(0)
        return stream.read()


@contextmanager
def _belonging_together() -> Iterator[None]:
    """Tell in one line where the parts of a folder do not fit together, however that shows."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise InputError(
            f"{CARD}, {ROUTER}: do not belong together ({reason:.200}); copy the whole folder "
            "again, or do not use it"
        ) from error


def _require_sound(predicted: Iterable[np.ndarray | None], shape: tuple[int, ...]) -> None:
    """Raise InputError unless there is a finite number for each of N queries and K models."""
    for numbers in predicted:
        if numbers is not None and not (
            numbers.dtype.kind in "fiu"
            and numbers.shape[-2:] == shape
            and np.isfinite(numbers).all()
        ):
            raise InputError(
                f"{ROUTER}: predicts what is no finite number for each of {shape[0]} queries and "
                f"{shape[1]} models; export it again, or do not use it"
            )


def _number_of(question: str, images: str | None) -> float:
    """A number in [0, 1) that a query's text and images decide."""
    seen = joined(digest_file(Path(path)) for path in each(images))
    return int(digest_bytes(f"{question}\0{seen}".encode())[:16], 16) / 2**64


@contextmanager
def _as_files(images: AnImage | Sequence[AnImage] | None) -> Iterator[list[str]]:
    """Yield the paths of a query's images, of files made of those that are given as content."""
    with ExitStack() as stack:
        paths = []
        for image in _listed(images):
            if isinstance(image, bytes):
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                Path(folder, "image").write_bytes(image)
            paths.append(f"{folder}/image" if isinstance(image, bytes) else str(image))
        yield paths


def _listed(images: Any) -> list[Any]:
    """The images of a query that has one, several or none."""
    several = images if is_list_like(images) else [images]
    return [image for image in several if not pd.isna(image)]


def _paths(images: Any) -> str | None:
    """The paths of a query's images as samples have them; None without any."""
    # Of a path only the start keeps a doubled slash.
    spelled = (re.sub("^//", "/", str(Path(str(path)))) for path in _listed(images))
    return BETWEEN.join(spelled) or None


def _require_input(samples: pd.DataFrame) -> None:
    for number, (question, image) in enumerate(
        zip(samples["question"], samples["image"], strict=True), start=1
    ):
        if not isinstance(question, str):
            raise InputError(f"query {number}: the question is {question!r:.80}; give text")
        if not is_utf8(question):
            raise InputError(f"query {number}: the question is no text in UTF-8; correct it")
        paths = each(image)
        if not paths and not question.strip():
            raise InputError(f"query {number}: neither text nor image; give one of them")
        if len(paths) > MOST_IMAGES:
            raise InputError(
                f"query {number}: {len(paths):,} images, of {MOST_IMAGES:,} that a query may "
                "have; leave some out"
            )
        for path in paths:
            if not Path(path).is_file():
                raise InputError(f"query {number}: no image {path!r:.200}; give a file's path")
