"""What an exported router says of itself: ``router.json``, typed, and a digest of every file.

Whoever made a folder wrote its card too. So a card is read as a stranger's word: every key has
a type and a range, what it names is looked up in the package's own catalogue or in modules that
the caller trusts, and parameters pass the same validation as a config's. The digests find
damage; they are no signature, as a stranger can make them anew.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from mmroute.config import Named, RouterConfig, Strict, describe, named, parse_router
from mmroute.errors import InputError
from mmroute.storage import digest_file, is_file, write_text

FORMAT = 3
CARD, ROUTER, FEATURES, CURVE, MODEL_CARD = (
    "router.json",
    "router.safetensors",
    "features.safetensors",
    "curve.safetensors",
    "README.md",
)
SEEN = "seen.safetensors"
"""Of what was seen in training, see ``drift``; folders of older versions have none."""
DIGESTS = "SHA256SUMS"
"""As ``sha256sum`` writes and checks it, over all other files."""
LARGEST_CARD, LARGEST_FILE = 10**8, 32 * 10**9
"""Bytes, far beyond what a router of millions of samples takes."""

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
_DIGEST_LINE = re.compile(r"([0-9a-f]{64})  ([\w.-]+)")


class Model(Strict):
    """A model that the router chooses among."""

    model: Annotated[str, Field(min_length=1)]
    utility: Share
    """Mean on the labels."""
    cost_usd: Amount
    """Mean of a call on the labels: its list price."""
    usd_per_1m_prompt_tokens: Amount | None
    usd_per_1m_completion_tokens: Amount | None


class Trained(Strict):
    """A router or a fusion: its name in the catalogue or ``module:Class``, and its parameters."""

    name: str
    parameters: dict[str, Any]


class Encoder(Trained):
    """An encoder, and what tells it from others."""

    probe: Annotated[list[float], Field(min_length=1, max_length=100_000)]
    """Its embedding of one fixed text or image."""
    checkpoint: str | None
    """Digest of a checkpoint of one's own."""


class Shrunk(Strict):
    """How far predictions are trusted; see ``shrinkage``."""

    rho: Share
    means: list[Share]


class Mixed(Strict):
    """One of two models at random, which needs no router."""

    first: str
    second: str
    """The same where one model is always taken."""
    share: Share
    """Of the queries that the second gets."""


class Kept(Strict):
    """A limit, and what is known of the router at the point that keeps it on the labels."""

    usd: Amount
    """Mean cost of a query, not to be exceeded."""
    listed_ratio: Amount
    predicted_ratio: Amount
    """What was paid over the chosen models' mean costs, and over what was predicted."""
    reserve_usd: Amount
    """What stays unspent, times sqrt(1/n + 1/N) for n labels and N queries."""


class Card(Strict):
    """The content of ``router.json``."""

    format: Literal[3]
    mmroute: str
    """Version that exported it."""
    benchmark: str
    simulated: bool
    row: str
    """Row of the main table, or the model that is always taken."""
    reason: str
    mixture: Mixed
    """What is run without a router, or what the router was held against."""
    labels: Literal["all", "train"]
    """What it was trained and decided on: all labelled samples, or those of the training split."""
    n_labels: Annotated[int, Field(ge=1, le=10**12)]
    limit: Kept | None
    """What a router is to keep on the queries at hand."""
    listed_usd: Amount | None
    """Mean cost, by the models' mean costs, that it is to choose for on the queries at hand."""
    router: Trained | None
    """None where a model is always taken."""
    fusion: Trained | None
    shrinkage: Shrunk | None
    policy: Literal["lambda", "budget"]
    threshold: float | None
    """The policy's parameter; of the policy ``budget`` it may lie below any cost."""
    unit_usd: Annotated[float, Field(gt=0)]
    """USD of a normalised cost of 1."""
    models: Annotated[list[Model], Field(min_length=1)]
    encoders: dict[Literal["text", "image"], Encoder]
    measured: dict[str, float | str | dict[str, Share] | None]
    """On labels that had no say, with the bounds of the intervals."""
    max_latency: Annotated[float, Field(gt=0)] | None = None
    """Seconds a query, on average, that it was decided within."""
    left_out: list[str] = Field(default_factory=list)
    """Models that it does not choose, as they do not surely keep that."""
    blind: list[str] = Field(default_factory=list)
    """Models that take no images, and so no query with one."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        names = [model.model for model in self.models]
        if len(set(names)) < len(names):
            raise ValueError("models: a name appears twice")
        for name in (self.mixture.first, self.mixture.second):
            if name not in names:
                raise ValueError(f"mixture: {name!r:.80} is no model of the card")
        chosen = {self.mixture.first, self.mixture.second}
        if not set(self.left_out) <= set(names) - chosen:
            raise ValueError("left_out: names what is no model of the card, or one of its mixture")
        if not set(self.blind) <= set(names):
            raise ValueError("blind: names what is no model of the card")
        if self.router is None:
            if self.row != self.mixture.first:
                raise ValueError(f"row: {self.row!r:.80} is not the mixture's first model")
            given = (self.fusion, self.shrinkage, self.threshold, self.limit, self.listed_usd)
            if self.encoders or any(part is not None for part in given):
                raise ValueError("router: missing beside what belongs to one")
            return self
        if self.threshold is None:
            raise ValueError("threshold: missing; a router has one")
        if self.limit and self.listed_usd is not None:
            raise ValueError("limit: it keeps one, or chooses for a listed_usd")
        if (self.fusion is None) != (not self.encoders) or len(self.encoders) == 1:
            raise ValueError("encoders: a fusion has one of text and one of image, else none")
        if self.shrinkage and len(self.shrinkage.means) != len(names):
            raise ValueError("shrinkage.means: has not one number for each model")
        return self

    @property
    def files(self) -> list[str]:
        """The files of the folder but for the digests."""
        router = [ROUTER] if self.router else []
        return [CARD, *router, *([FEATURES] if self.fusion else []), CURVE, MODEL_CARD]

    def router_config(self, trusted: Sequence[str]) -> RouterConfig | None:
        """The router as a config names it; None for a single model.

        Raises InputError for a router, fusion or parameter that no config could name, or a
        module that is not trusted.
        """
        if self.router is None:
            return None
        fusion = {}
        if self.fusion:
            _require_trusted(self.fusion.name, trusted)
            fusion = {"fusion": {self.fusion.name: self.fusion.parameters}}
        _require_trusted(self.router.name, trusted)
        if clash := self.router.parameters.keys() & {"class", "fusion"}:
            raise InputError(f"router.parameters: {min(clash)} is no parameter")
        config = parse_router(
            "router", {"class": self.router.name} | fusion | self.router.parameters
        )
        if (config.fusion is None) != (self.fusion is None):
            raise InputError("fusion: does not go with the router")
        if self.shrinkage and not config.predicts:
            raise InputError("shrinkage: does not go with the router")
        return config

    def encoder(self, modality: Literal["text", "image"], trusted: Sequence[str]) -> Named:
        """An encoder as a config names it; raises InputError as ``router_config``."""
        described = self.encoders[modality]
        _require_trusted(described.name, trusted)
        return named("encoders", described.name, described.parameters)


def _require_trusted(name: str, trusted: Sequence[str]) -> None:
    module, outside, _ = name.partition(":")
    if outside and not any(f"{module}.".startswith(f"{known}.") for known in trusted):
        raise InputError(
            f"names {name!r:.200}, code that lies outside of the package; if you know its author, "
            f"trust the module {module!r:.80}"
        )


def read_card(folder: Path) -> Card:
    """Read the card of an exported router, once every file is seen to be as it was written.

    Raises
    ------
    InputError
        If a file is missing, damaged, not a regular one or not of this format, or if the card
        has a value that it cannot have.
    """
    path = folder / CARD
    _require_regular(path, LARGEST_CARD)
    content = _content(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: no router of format {FORMAT}; export it again with this version")
    try:
        card = Card.model_validate(content, strict=True)
    except ValidationError as error:
        raise InputError(
            f"{path}: {describe(error)}; export the router again, or do not use it"
        ) from None
    digests = _read_digests(folder / DIGESTS)
    described = SEEN in digests or os.path.lexists(folder / SEEN)
    for name in [*card.files, *[SEEN] * described]:
        _require_regular(folder / name, LARGEST_FILE)
        if digests.pop(name, None) != _digest(folder / name):
            raise InputError(
                f"{folder / name}: damaged or of another router, as its digest is not the one in "
                f"{DIGESTS}; copy the whole folder again"
            )
    if digests:
        raise InputError(
            f"{folder / DIGESTS}: lists {min(digests)!r}, which is no part of such a router; "
            "copy the whole folder again"
        )
    return card


def _content(path: Path) -> Any:
    try:
        return json.loads(_read(path).decode(), object_pairs_hook=_mapping)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not readable as JSON ({error!s:.200}); copy the whole folder again"
        ) from error


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a key is given twice")
    return mapping


def folder_digest(folder: Path) -> str:
    """The digest of an exported router, as a decision log names it: that of its digests."""
    return digest_file(folder / DIGESTS)


def write_digests(folder: Path) -> None:
    """Write the digests of all files of a folder."""
    lines = [f"{_digest(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    write_text(folder / DIGESTS, "".join(lines))


def _read_digests(path: Path) -> dict[str, str]:
    _require_regular(path, LARGEST_CARD)
    lines = _read(path).decode(errors="replace").splitlines()
    matches = [_DIGEST_LINE.fullmatch(line) for line in lines]
    if not all(matches):
        raise InputError(f"{path}: not as sha256sum writes it; copy the whole folder again")
    return {match[2]: match[1] for match in matches if match}


def _read(path: Path) -> bytes:
    return b"".join(_blocks(path))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file, and no more than its size: a link may lead to an endless one."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            size -= len(block)
            if size < 0:
                raise InputError(f"{path}: longer than it says it is; do not use the folder")
            yield block


def _require_regular(path: Path, largest: int) -> None:
    if not is_file(path):
        raise InputError(f"{path}: no such file; copy the whole folder again")
    size = path.stat().st_size
    if not 0 < size <= largest:
        raise InputError(f"{path}: has {size:,} bytes, as no such file has; copy the whole folder")
