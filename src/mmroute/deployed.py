"""A router in use: what ``mmroute export`` wrote, loaded and asked query by query.

The folder holds

``router.json``
    what the router is: its row, policy and threshold, the models with their prices,
    encoders with a checksum, and a digest of every other file;
``router.safetensors``, ``features.safetensors``
    the trained router and the fitted fusion, without pickle;
``curve.parquet``
    the operating curve on cross-fitted training predictions that thresholds are chosen on;
``README.md``
    the model card.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from mmroute.catalogue import build
from mmroute.curve import steps_of
from mmroute.embeddings import Embeddings, embed
from mmroute.encoders import Encoder, Modality
from mmroute.errors import InputError
from mmroute.fusion import Features
from mmroute.predictions import Predictions
from mmroute.shrinkage import Shrinkage
from mmroute.side_features import side_features
from mmroute.storage import digest_file, read_json, read_table
from mmroute.training import predict
from mmroute.weights import read

FORMAT = 1
CARD, ROUTER, FEATURES, CURVE = (
    "router.json",
    "router.safetensors",
    "features.safetensors",
    "curve.parquet",
)
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
    """

    models: Sequence[str]
    choice: np.ndarray
    utility: np.ndarray
    cost_usd: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """(N,) predicted utility of the model to ask, within [0, 1]."""
        return np.clip(self.utility[np.arange(len(self.choice)), self.choice], 0, 1)

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.choice)

    def __getitem__(self, index: int) -> Routed:
        """Return the answer to one query."""
        return Routed(
            self.models[self.choice[index]],
            dict(zip(self.models, self.utility[index].tolist(), strict=True)),
            dict(zip(self.models, self.cost_usd[index].tolist(), strict=True)),
            float(self.confidence[index]),
        )


class DeployedRouter:
    """A trained router, ready to be asked; ``load_router`` makes one.

    Attributes
    ----------
    models
        The K models that it chooses among.
    card
        The content of ``router.json``.
    """

    def __init__(self, card: Mapping[str, Any], folder: Path, trusted: Sequence[str]) -> None:
        self.card = card
        self.models = [row["model"] for row in card["models"]]
        self._router = read(folder / ROUTER, trusted) if ROUTER in card["files"] else None
        self._features: Features | None = (
            read(folder / FEATURES) if FEATURES in card["files"] else None
        )
        shrinkage = card["shrinkage"]
        self._shrinkage = shrinkage and Shrinkage(shrinkage["rho"], np.array(shrinkage["means"]))
        self._curve = read_table(folder / CURVE).to_pandas()
        self._means = tuple(
            np.array([row[name] for row in card["models"]]) for name in ("utility", "cost_usd")
        )

    def route(
        self,
        text: str | None = None,
        image: str | Path | bytes | None = None,
        *,
        dataset: str = "",
        budget: float | None = None,
        trade_off: float | None = None,
    ) -> Routed:
        """Choose the model for one query.

        Parameters
        ----------
        text
            The question.
        image
            The path of an image file, or its content.
        dataset
            The data set that the query belongs to, for a router that goes by it.
        budget
            USD per 1,000 queries, not to be exceeded on average by queries like those of the
            training split: the threshold is chosen on the router's operating curve there.
        trade_off
            Utility per normalised cost, the lambda of the policy family ``lambda``. With
            neither, the threshold that was exported holds.

        Raises
        ------
        InputError
            If there is neither text nor image, if the image cannot be read, if no threshold
            keeps the budget, or if the router has no such parameter.
        """
        with _as_path(image) as path:
            queries = pd.DataFrame(
                {"question": [text or ""], "image": [path], "dataset": [dataset]}, dtype=object
            )
            return self.route_all(queries, budget=budget, trade_off=trade_off)[0]

    def route_all(
        self,
        queries: pd.DataFrame,
        *,
        budget: float | None = None,
        trade_off: float | None = None,
        threads: int = 1,
    ) -> Decisions:
        """Choose the models for N queries at once.

        Parameters
        ----------
        queries
            ``question``, text; ``image``, paths of files, or null; ``dataset`` where the
            router goes by it. A missing column is empty throughout.
        budget, trade_off
            As for ``route``.
        threads
            Threads for images.

        Raises
        ------
        InputError
            As ``route``, naming the first such query.
        """
        samples = pd.DataFrame(
            {
                "sample_id": [str(number) for number in range(len(queries))],
                "dataset": queries.get("dataset", ""),
                "question": queries.get("question", pd.Series("", queries.index)).fillna(""),
                "image": queries.get("image"),
            }
        ).reset_index(drop=True)
        _require_input(samples)
        if self._router is None or not (self._features or self.card["reads_samples"]):
            return self._decide(np.empty((len(samples), 0)), budget, trade_off)
        if self.card["reads_samples"]:
            return self._decide(samples, budget, trade_off)
        text, image = (self._embed(modality, samples, threads) for modality in ("text", "image"))
        unseen = samples["image"].notna().to_numpy() & ~image.present
        if unseen.any():
            raise InputError(
                f"query {int(unseen.argmax()) + 1}: the image "
                f"{samples['image'][int(unseen.argmax())]!s:.200} cannot be decoded; give a whole "
                "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, or leave it out"
            )
        side = None
        if self._features.fusion.with_side:
            side = side_features(samples, Path())
        return self.route_embedded(text, image, side, budget=budget, trade_off=trade_off)

    def route_embedded(
        self,
        text: Embeddings,
        image: Embeddings,
        side: np.ndarray | None = None,
        *,
        budget: float | None = None,
        trade_off: float | None = None,
    ) -> Decisions:
        """Choose the models for N queries whose embeddings are known.

        Parameters
        ----------
        text, image
            Embeddings by the router's own encoders.
        side
            (N, s) side features, for a fusion that has them.
        budget, trade_off
            As for ``route``.
        """
        if side is None:
            side = np.empty((len(text.vectors), 0), np.float32)
        return self._decide(self._features.transform(text, image, side), budget, trade_off)

    def threshold(self, budget: float | None = None, trade_off: float | None = None) -> float:
        """Return the parameter of the policy family that is used; arguments as for ``route``."""
        if budget is not None and trade_off is not None:
            raise InputError("budget and trade_off: got both; give one of them")
        if trade_off is not None:
            if self._router is None or self.card["policy"] != "lambda":
                raise InputError(
                    f"trade_off: {self.card['row']!r} was exported with "
                    + (
                        "a single model, which has none; leave it out"
                        if self._router is None
                        else f"the policy {self.card['policy']!r}; give budget instead"
                    )
                )
            if not 0 <= trade_off < np.inf:
                raise InputError(f"trade_off: {trade_off} is no number of at least 0; give one")
            return trade_off
        if budget is None:
            return self.card["threshold"]
        kept = self._curve[self._curve["cost_usd_per_1000_at_most"] <= budget]
        if kept.empty:
            raise InputError(
                f"budget: {budget} USD per 1,000 queries is not surely kept by any threshold of "
                f"{self.card['row']!r}; give at least "
                f"{self._curve['cost_usd_per_1000_at_most'].min():.6g}"
            )
        best = kept.sort_values(["utility", "cost_usd_per_1000"], ascending=[False, True])
        return float(best["threshold"].iloc[0])

    def _decide(
        self, Z: np.ndarray | pd.DataFrame, budget: float | None, trade_off: float | None
    ) -> Decisions:
        parameter = self.threshold(budget, trade_off)
        n_queries = len(Z)
        utility, cost_usd = (np.tile(means, (n_queries, 1)) for means in self._means)
        if self._router is None:
            choice = np.full(n_queries, self.models.index(self.card["row"]))
            return Decisions(self.models, choice, utility, cost_usd)
        predictions = self._predict(Z)
        observed = np.ones((n_queries, len(self.models)), bool)
        choice = steps_of(predictions, 0, observed, self.card["policy"]).choices(parameter)
        if self.card["predicts"]:
            utility = predictions.u_hat[0].astype(float)
            cost_usd = predictions.c_hat[0] * self.card["unit_usd"]
        return Decisions(self.models, choice, utility, cost_usd)

    def _predict(self, Z: np.ndarray | pd.DataFrame) -> Predictions:
        predictions = predict(self._router, pd.Series(np.arange(len(Z)).astype(str)), Z)
        return self._shrinkage.apply(predictions) if self._shrinkage else predictions

    def _embed(self, modality: Modality, samples: pd.DataFrame, threads: int) -> Embeddings:
        """Embed one modality; its encoder is not loaded if no query has it."""
        given = samples["image"].notna() if modality == "image" else samples["question"] != ""
        if not given.any():
            width = self.card["encoders"][modality]["width"]
            return Embeddings.masked(len(samples), width)
        encoder = self._text_encoder if modality == "text" else self._image_encoder
        return embed(encoder, modality, samples, Path(), threads)

    @cached_property
    def _text_encoder(self) -> Encoder:
        return self._checked("text")

    @cached_property
    def _image_encoder(self) -> Encoder:
        return self._checked("image")

    def _checked(self, modality: Modality) -> Encoder:
        described = self.card["encoders"][modality]
        encoder = build("encoders", described["name"], described["parameters"])
        if not np.allclose(probe(encoder, modality), described["probe"], atol=PROBE_TOLERANCE):
            raise InputError(
                f"{CARD}: encoder {described['name']!r} of the {modality} gives other vectors than "
                "when the router was trained; install the version of mmroute and the checkpoint "
                "that the model card names"
            )
        return encoder


def load_router(folder: str | Path, trusted: Sequence[str] = ()) -> DeployedRouter:
    """Load a router that ``mmroute export`` has written.

    Parameters
    ----------
    folder
        What was exported.
    trusted
        Top-level modules that a router of your own is defined in, such as ``my_routers``.

    Raises
    ------
    InputError
        If a file is missing, damaged or not the exported one, or names a class outside the
        package and ``trusted``.
    """
    folder = Path(folder)
    card = read_json(folder / CARD)
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise InputError(
            f"{folder / CARD}: no router of format {FORMAT}; export it again with this version"
        )
    for name, digest in card["files"].items():
        path = folder / Path(name).name
        if not path.is_file() or digest_file(path) != digest:
            raise InputError(
                f"{path}: missing, damaged or of another router; copy the whole folder again"
            )
    return DeployedRouter(card, folder, trusted)


def probe(encoder: Encoder, modality: Modality) -> np.ndarray:
    """Return the (d,) embedding of one fixed text or image, which tells encoders apart."""
    with _as_path(None if modality == "text" else _probe_image()) as path:
        sample = pd.DataFrame({"question": [PROBE_TEXT], "image": [path]}, dtype=object)
        return embed(encoder, modality, sample, Path(), 1).vectors[0]


def _probe_image() -> bytes:
    row, column = np.mgrid[:64, :64]
    pixels = np.stack([4 * row, 4 * column, 255 * ((row // 8 + column // 8) % 2)], axis=2)
    with tempfile.SpooledTemporaryFile() as stream:
        Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
        stream.seek(0)
        return stream.read()


@contextmanager
def _as_path(image: str | Path | bytes | None) -> Iterator[str | None]:
    if not isinstance(image, bytes):
        yield None if image is None else str(image)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image")
        path.write_bytes(image)
        yield str(path)


def _require_input(samples: pd.DataFrame) -> None:
    for number, (question, image) in enumerate(
        zip(samples["question"], samples["image"], strict=True), start=1
    ):
        if not isinstance(question, str):
            raise InputError(f"query {number}: the question is {question!r:.80}; give text")
        if pd.isna(image):
            if not question.strip():
                raise InputError(f"query {number}: neither text nor image; give one of them")
        elif not Path(image).is_file():
            raise InputError(f"query {number}: no image {str(image)!r:.200}; give a file's path")
