"""The configuration: typed models and their defaults.

What sources, encoders, fusions and routers accept is read off their
constructors, so a parameter is declared in one place. Run this module to write
the JSON schema to standard output, or with ``--reference`` every key in Markdown.
"""

import difflib
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial, reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeAliasType

from mmroute.catalogue import REQUIRED, catalogue, find
from mmroute.errors import InputError
from mmroute.storage import LONGEST_NAME, SHRUNK, file_name

FILE_SAFE = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_FITTING = f"has at most {LONGEST_NAME} characters, and does not end in the same ones 20 times"
REFERENCES = ("best_single", "zero", "zero_hindsight")
"""Rows that results have beside the routers'."""
DEFAULT_ROUTERS = (
    "random",
    "cheapest",
    "strongest",
    "kmeans",
    "knn",
    "linear",
    "linear_mf",
    "mlp",
    "mlp_mf",
    "ensemble",
    "oracle",
)
STUDIED_ROUTERS = ("kmeans", "knn", "linear_mf", "mlp_mf")
DECIDED_ON = "ensemble"
"""The row that is held against static mixtures: named before any result."""
TRUNK = "main"
"""What every experiment builds on."""
MADE_BY_TRUNK = (
    *("table2", "tableS4", "datasets", "models", "origins", "operating_points", "differences"),
    *("fig4", "figS1", "calibration"),
)
"""Tables and figures that are there without any experiment."""


class Strict(BaseModel):
    """Takes no key that it does not know, and no number that is not finite."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


@dataclass(frozen=True)
class Named:
    """A class that the config names, with its parameters after defaults."""

    name: str
    parameters: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Return a file-safe name that tells different parameters apart."""
        return "-".join([self.name, *(f"{value}" for value in self.parameters.values())])


@dataclass(frozen=True)
class SourcePart(Named):
    """One place that outcomes come from."""

    @property
    def label(self) -> str:
        """Return what tells this place from others to a reader: its kind and where it is."""
        place = self.parameters.get("path") or self.parameters.get("repo")
        revision = self.parameters.get("revision")
        return " ".join(
            [self.name, *([str(place)] if place else []), *([f"at {revision}"] if revision else [])]
        )


@dataclass(frozen=True)
class SourceConfig:
    """Where a benchmark's outcomes come from.

    Attributes
    ----------
    parts
        One place, or several that are joined on sample ids.
    prices
        What to reprice tokens with, if anything: the path of a price table, or by model USD per
        million prompt and completion tokens, or USD per call.
    """

    parts: tuple[SourcePart, ...]
    prices: str | dict[str, list[float] | float] | None

    @property
    def price_file(self) -> Path | None:
        """Return the price table's path, if the prices are in one."""
        return Path(self.prices) if isinstance(self.prices, str) else None

    @property
    def labelled(self) -> dict[str, SourcePart]:
        """Return the places by their labels, made to differ."""
        labels: dict[str, SourcePart] = {}
        for number, part in enumerate(self.parts, start=1):
            label = f"{part.label} (source {number})" if part.label in labels else part.label
            labels[label] = part
        return labels


@dataclass(frozen=True)
class RouterConfig(Named):
    """A router, and what it reads.

    Attributes
    ----------
    fusion
        What makes its features; None if it uses none.
    reads_samples
        Whether it reads questions and images instead.
    predicts
        Whether it predicts utilities, which can be shrunk and calibrated; the others
        encode a choice.
    encoder
        What it trains along on the samples; None if it trains no encoder.
    """

    fusion: Named | None
    reads_samples: bool
    predicts: bool
    encoder: Named | None

    @property
    def elsewhere(self) -> str | None:
        """The file of what a router from elsewhere chose, which cannot be trained, nor asked."""
        key = find("routers", self.name).attributes.get("elsewhere")
        return str(self.parameters[key]) if key else None

    @property
    def gpu(self) -> bool:
        """Whether training it wants a GPU."""
        classes = [find("routers", self.name)]
        classes += [find("encoders", self.encoder.name)] if self.encoder else []
        return any(entry.attributes.get("gpu", False) for entry in classes)


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 200, 200


def _brief(value: Any) -> str:
    """Return a value for a message: a few lines of aliases in YAML can stand for gigabytes."""
    return _SHORT.repr(value)


@dataclass(frozen=True)
class _Parsed:
    """Says how a key is validated, and which type its schema is that of."""

    parse: Callable[[Any], Any]
    shape: Callable[[], Any]

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(TypeAdapter(self.shape()).core_schema)


def _model(name: str, fields: Mapping[str, Any], **extra: Any) -> type[BaseModel]:
    """Make the model of a mapping; ``extra`` is of its JSON schema."""
    config = ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_extra=extra)
    return create_model(name, __config__=config, **dict(fields))


@cache
def _parameters_model(package: str, name: str) -> type[BaseModel]:
    """Make the model of what stands beside the name of a class.

    It is named with its room: a source and a router may have one name.
    """
    entry = find(package, name)
    told = entry.descriptions
    fields: dict[str, Any] = {
        key: (kind, Field(... if default is REQUIRED else default, description=told.get(key)))
        for key, (kind, default) in entry.parameters.items()
        if key != "random_state"
    }
    if package == "routers" and entry.attributes.get("fusion"):
        fields["fusion"] = (
            Fusion,
            Field(entry.attributes["fusion"], validate_default=True, description="Its features."),
        )
    return _model(f"{package}_{name}", fields)


def _parameters(package: str, name: str, given: Any, label: str | None = None) -> dict[str, Any]:
    """Validate the parameters of a class, which messages call ``label``."""
    if not isinstance(name, str):
        raise InputError(f"{package} are chosen by name, not by {_brief(name)}; give a text")
    find(package, name)
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"{name}: parameters are a mapping, not {_brief(given)}")
    model = _parameters_model(package, name)
    try:
        return dict(model.model_validate(dict(given or {})))
    except ValidationError as error:
        raise InputError(describe(error, f"{label or name}.", model)) from None


def named(package: str, name: str, parameters: Any) -> Named:
    """A class that a config could name, its parameters validated; raises InputError."""
    return Named(name, _parameters(package, name, parameters))


def _parse_named(package: str, value: Any) -> Named:
    """Take ``name`` or ``{name: {parameter: value}}``."""
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, Mapping) or len(value) != 1:
        raise InputError(
            f"give a name, or one name with its parameters, not {_brief(value)}; "
            f"choose from: {', '.join(sorted(catalogue(package)))}"
        )
    ((name, given),) = value.items()
    return named(package, name, given)


def _by_name(package: str) -> dict[str, Any]:
    """Fields for the parameters of each class of a room, none of which has to be there."""
    return {name: (_parameters_model(package, name) | None, None) for name in catalogue(package)}


def _named_shape(package: str) -> Any:
    fields = _by_name(package)
    parametrised = _model(f"{package} with parameters", fields, minProperties=1, maxProperties=1)
    return parametrised | Literal[tuple(fields)]


if TYPE_CHECKING:
    Fusion: TypeAlias = Named
    Encoder: TypeAlias = Named
else:
    # As aliases they are one definition each of the schema.
    Fusion, Encoder = (
        TypeAliasType(
            alias, Annotated[Any, _Parsed(partial(_parse_named, room), partial(_named_shape, room))]
        )
        for alias, room in (("Fusion", "features"), ("Encoder", "encoders"))
    )


_Price: TypeAlias = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
# As an alias it is one definition of the schema.
Prices: Any = TypeAliasType(
    "Prices",
    str
    | Annotated[
        dict[str, Annotated[list[_Price], Field(min_length=2, max_length=2)] | _Price],
        Field(min_length=1),
    ],
)
_PRICES: TypeAdapter[Any] = TypeAdapter(Prices | None)


def _parse_source(value: Any) -> SourceConfig:
    kinds = ", ".join(sorted(catalogue("sources")))
    if not isinstance(value, Mapping) or ("kind" in value) == ("join" in value):
        raise InputError(
            f"give a mapping with the key kind, one of: {kinds}; or with the key join and a "
            "list of such mappings"
        )
    given = dict(value)
    prices = given.pop("prices", None)
    try:
        _PRICES.validate_python(prices)
    except ValidationError:
        raise InputError(
            "prices: give the path of a CSV file, or {model: [USD per million prompt tokens, per "
            f"million completion tokens]}} or {{model: USD per call}}, not {_brief(prices)}"
        ) from None
    if "kind" in given:
        return SourceConfig((_parse_part(given),), prices)
    joined = given.pop("join")
    if given:
        raise InputError(f"{next(iter(given))}: unknown key beside join; known keys: join, prices")
    if not isinstance(joined, list) or not joined:
        raise InputError(f"join: give a list of sources, not {_brief(joined)}")
    return SourceConfig(
        tuple(_within(f"join.{index}", _parse_part, part) for index, part in enumerate(joined)),
        prices,
    )


def _parse_part(value: Any) -> SourcePart:
    if not isinstance(value, Mapping) or "kind" not in value:
        raise InputError(f"give a mapping with the key kind, not {_brief(value)}")
    given = dict(value)
    if "prices" in given:
        raise InputError("prices: all models are priced by one table; set it beside join")
    kind = given.pop("kind")
    return SourcePart(kind, _parameters("sources", kind, given))


def _source_shape() -> Any:
    text = (
        "CSV of USD per million tokens, to compute costs from token counts; or these prices "
        "themselves, of a model's prompt and completion tokens, or of each call."
    )
    prices: dict[str, Any] = {"prices": (Prices | None, Field(None, description=text))}
    models = []
    for kind in catalogue("sources"):
        fields: dict[str, Any] = {"kind": (Literal[kind], ...)} | prices
        base = _parameters_model("sources", kind)
        models.append(create_model(base.__name__, __base__=base, **fields))
    kinds: Any = reduce(or_, models)
    text = "Sources that are joined on sample ids; of a pair in two the first counts."
    joined = Field(min_length=1, description=text)
    return kinds | _model("several sources", {"join": (list[kinds], joined)} | prices)


if TYPE_CHECKING:
    Source: TypeAlias = SourceConfig
else:
    Source = TypeAliasType("Source", Annotated[Any, _Parsed(_parse_source, _source_shape)])


def _parse_routers(value: Any) -> dict[str, RouterConfig]:
    if not isinstance(value, Mapping) or not value:
        raise InputError("give a mapping of router names to their parameters")
    return {row: parse_router(row, given) for row, given in value.items()}


def _require_row_name(row: Any) -> None:
    if row in REFERENCES:
        raise InputError(f"{row}: a row's name that every result table has; name it otherwise")
    if not isinstance(row, str) or not re.fullmatch(FILE_SAFE, row):
        shown = row if isinstance(row, str) and row.isprintable() else _brief(row)
        raise InputError(f"{shown:.200}: a row's name has letters, digits, . _ - only")
    if file_name(row) != row:
        raise InputError(f"{row:.20}...: a row's name {_FITTING}")


def _elsewhere() -> dict[str, str]:
    """Keys by which a row has a router from elsewhere, and needs no class, with its class."""
    named = {
        entry.attributes.get("elsewhere"): name for name, entry in catalogue("routers").items()
    }
    return {key: name for key, name in named.items() if key}


def parse_router(row: str, given: Any) -> RouterConfig:
    """Validate a row of the config's ``routers``; raises InputError."""
    _require_row_name(row)
    given = dict(given) if isinstance(given, Mapping) else given
    told = (name for key, name in _elsewhere().items() if isinstance(given, dict) and key in given)
    name = given.pop("class", next(told, row)) if isinstance(given, dict) else row
    if not isinstance(name, str):
        raise InputError(f"{row}.class: give a router's name or module:Class, not {_brief(name)}")
    attributes = find("routers", name).attributes
    if "fusion" not in attributes:
        raise InputError(
            f"{row}: {name} does not say its fusion; write it in the class's body, a name or None"
        )
    predicts = attributes["fusion"] is not None
    if isinstance(given, dict) and not predicts and given.pop("fusion", None) is not None:
        raise InputError(f"{row}.fusion: this router uses no features; remove the key")
    parameters = _parameters("routers", name, given, row)
    fusion = parameters.pop("fusion", None)
    encoder = _trained_encoder(attributes.get("trained_encoder"), parameters)
    reads_samples = attributes.get("reads_samples", False) or encoder is not None
    return RouterConfig(
        name, parameters, None if reads_samples else fusion, reads_samples, predicts, encoder
    )


def _trained_encoder(
    declared: Mapping[str, Any] | None, parameters: Mapping[str, Any]
) -> Named | None:
    """The encoder that a router trains with these parameters, see ``Router.trained_encoder``."""
    if not declared or any(parameters[key] != value for key, value in declared["where"].items()):
        return None
    given = {argument: parameters[key] for argument, key in declared["parameters"].items()}
    return named("encoders", declared["name"], given)


def _rows_shape(package: str, **more: Any) -> Any:
    """Rows by the names of their classes, and others that give their class or choices."""
    other: dict[str, Any] = {"type": "object", "required": ["class"]}
    if package == "routers":
        keys = "class", *_elsewhere()
        other = {"type": "object", "anyOf": [{"required": [key]} for key in keys]}
    return _model(package, more | _by_name(package), minProperties=1, additionalProperties=other)


def _parse_experiments(value: Any) -> dict[str, Named]:
    if not isinstance(value, Mapping):
        raise InputError(
            f"give a mapping of names to their options, such as {{{TRUNK}: {{}}}}, "
            f"not {_brief(value)}"
        )
    if TRUNK not in value:
        raise InputError(f"{TRUNK} is missing; the others build on it")
    rows = {row: parse_experiment(row, given) for row, given in value.items()}
    makers = dict.fromkeys(MADE_BY_TRUNK, TRUNK)
    for row in rows:
        output = output_of(row, rows[row])
        if makers.setdefault(output, row) != row:
            way = "give its class another output" if makers[output] == TRUNK else "leave one out"
            raise InputError(f"{row}: makes {output}, as {makers[output]} does; {way}")
    return rows


def _experiments_shape() -> Any:
    trunk: Any = _model(TRUNK, {}) | None
    return _rows_shape("experiments", **{TRUNK: (trunk, ...)})


def parse_experiment(row: str, given: Any) -> Named:
    """Validate a row of the config's ``experiments``; raises InputError."""
    if row == TRUNK:
        if given:
            raise InputError(f"{row}: takes no options, not {_brief(given)}; write {row}: {{}}")
        return Named(row, {})
    _require_row_name(row)
    given = dict(given) if isinstance(given, Mapping) else given
    name = given.pop("class", row) if isinstance(given, dict) else row
    parameters = _parameters("experiments", name, given, row)
    attributes = find("experiments", name).attributes
    for lacking in ("title", "question"):
        if not attributes.get(lacking):
            raise InputError(f"{name}: the class has no {lacking}; give it one, a literal text")
    experiment = Named(name, parameters)
    _require_row_name(output_of(row, experiment))
    return experiment


def output_of(row: str, experiment: Named) -> str:
    """The name of an experiment's table and figure."""
    if row == TRUNK:
        return row
    return str(find("experiments", experiment.name).attributes.get("output") or row)


def known_experiments(rows: Mapping[str, Named]) -> dict[str, Named]:
    """A config's rows but for the trunk, and every other experiment as published."""
    asked = {row: one for row, one in rows.items() if row != TRUNK}
    made = {output_of(row, one) for row, one in asked.items()}
    others = {name: parse_experiment(name, None) for name in _complete("experiments")}
    return asked | {
        name: one
        for name, one in others.items()
        if name not in asked and output_of(name, one) not in made
    }


def published_fusion(name: str) -> Named:
    """A fusion with its published parameters."""
    return named("features", name, None)


def known_routers(rows: Mapping[str, RouterConfig]) -> dict[str, RouterConfig]:
    """Add to a config's rows every router that needs no parameter, as published."""
    return {name: parse_router(name, None) for name in _complete("routers")} | dict(rows)


def _complete(package: str) -> list[str]:
    return [
        name
        for name, entry in catalogue(package).items()
        if all(default is not REQUIRED for _, default in entry.parameters.values())
    ]


def _within(key: str, parse: Callable[[Any], Any], value: Any) -> Any:
    try:
        return parse(value)
    except InputError as error:
        raise InputError(f"{key}: {error}") from None


class Encoders(Strict):
    """One encoder per modality."""

    text: Encoder = Field(default="builtin", validate_default=True)
    """Encoder of the questions."""
    image: Encoder = Field(default="builtin", validate_default=True)
    """Encoder of the images."""


class Split(Strict):
    """Which samples train the routers."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each data set's groups of samples in the training split, in expectation."""
    development: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the groups, of those in the training split, that no router learns from. Routers
    that stop early stop by these samples, and VL-RouterBench's operating points are chosen on
    them; else both make do with what teaches."""
    salts: Annotated[list[int | str], Field(min_length=1)] = [0]
    """One split, training and evaluation per salt; results are means over them."""

    @model_validator(mode="after")
    def _something_teaches(self) -> "Split":
        if self.development >= self.train:
            raise ValueError(
                f"development {self.development} must be less than train {self.train}, which it "
                "is a part of"
            )
        return self

    @field_validator("salts")
    @classmethod
    def _distinct(cls, salts: list[int | str]) -> list[int | str]:
        names = [str(salt) for salt in salts]
        if len(set(names)) < len(names):
            raise ValueError(f"salts must differ, not {salts}")
        for name in names:
            if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
                raise ValueError(f"salt {name!r} must be letters, digits, - and _")
            if file_name(name) != name:
                raise ValueError(f"salt {name:.20}...: a salt {_FITTING}")
        return salts


Asked = Annotated[float, Field(gt=0)] | Annotated[str, Field(pattern=r"^\d+(\.\d+)?%$")]
"""A number, or a share such as ``50%`` of what the best single model has."""


class ShardSize(Strict):
    """How many samples one job takes."""

    embed: Annotated[int, Field(ge=1)] = 10_000
    """Samples of one data set that a job embeds."""
    evaluate: Annotated[int, Field(ge=1)] = 200_000
    """Samples that a job evaluates. A benchmark of more is evaluated in shards, its
    operating curves at a grid of thresholds (definitions, section 4); else they are exact."""


class Limits(Strict):
    """What reading files that others made may take, in a process of its own."""

    gigabytes: Annotated[float, Field(ge=0.5, le=1e6)] = 16
    """Memory of the process, in GB."""
    seconds: Annotated[float, Field(gt=0, le=1e9)] = 1800
    """Time for each file."""


class Decision(Strict):
    """What is to be decided."""

    router: str = DECIDED_ON
    """The one row that static mixtures of models are held against, named before any result."""
    labels: Literal["all", "train"] = "all"
    """What decides: all labels, with what to expect measured fold by fold on those that had no
    say, or those of the training split of the first salt, measured on its test split."""

    budgets: list[Asked] = ["10%", "25%", "50%", "100%"]
    """Mean costs not to exceed: USD per 1,000 queries, or shares of the best single model's."""
    quality_targets: list[Asked] = ["90%", "95%", "100%"]
    """Accuracies to reach: numbers up to 1, or shares of the best single model's."""
    what_if_prices: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Model to a multiple of its price; all is decided once more with these."""
    max_latency: Annotated[float, Field(gt=0)] | None = None
    """Seconds that a query is to take at most, on average. Only models that surely do are chosen
    among; null: all. It takes a source with latencies."""
    blind: list[str] = []
    """Models that take no images: an exported router sends them no query that has one."""


class Config(Strict):
    """A benchmark run."""

    name: Annotated[str, Field(pattern=FILE_SAFE, max_length=LONGEST_NAME)]
    """Everything of this run lies in ``results/<name>/``."""
    source: Source
    """Where outcomes, questions and images come from."""
    encoders: Encoders = Encoders()
    """What turns questions and images into vectors."""
    split: Split = Split()
    """The frozen training split."""
    pool: Annotated[list[str], Field(min_length=1)] | None = None
    """Models to route among; null takes every model with enough coverage."""
    min_coverage: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Without a pool, a model needs this share of the samples observed."""
    routers: Annotated[
        dict[str, RouterConfig], _Parsed(_parse_routers, partial(_rows_shape, "routers"))
    ] = Field({name: {} for name in DEFAULT_ROUTERS}, validate_default=True)
    """Routers to train, with hyper-parameters that differ from the published defaults. A row
    of another name gives its router as ``class``: a router's name, or ``module:Class``; or, of
    a router from elsewhere, ``choices``: a table of what it chose."""
    shrink: bool = True
    """Whether each router that predicts has a second row, ``<router>+shrink``."""
    policy: Literal["lambda", "budget"] = "lambda"
    """Policy family whose operating curve is traced."""
    conventions: list[Literal["nauc_own_range", "nauc_row_range"]] = []
    """Metrics as others define them, beside ours in the CSV of the main table only: nAUC over the
    router's own costs (MMR-Bench's released code), and over those of each sample's cheapest and
    dearest models (ORBIT)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of every router that draws, and of the bootstrap."""
    resamples: Annotated[int, Field(ge=100)] = 1000
    """Bootstrap resamples behind every interval."""
    shard_size: ShardSize = ShardSize()
    """How many samples one job embeds or evaluates; more are split over several jobs."""
    limits: Limits = Limits()
    """What reading files that others made may take; a job that needs more ends with one line."""
    experiments: Annotated[
        dict[str, Named],
        _Parsed(
            _parse_experiments,
            partial(_rows_shape, "experiments", **{TRUNK: (_model(TRUNK, {}) | None, ...)}),
        ),
    ] = Field(
        default_factory=lambda: _parse_experiments({TRUNK: None}),
        json_schema_extra={"default": {TRUNK: {}}},
    )
    """What to run, with options that differ from the defaults; main is the trunk of all others.
    A row of another name gives its experiment as ``class``: an experiment's name, or
    ``module:Class``."""
    studied: Annotated[list[str], Field(min_length=1)] = list(STUDIED_ROUTERS)
    """Routers that the experiments train anew: rows of routers, or names of others."""
    text_only: Source | None = None
    """Source of text-only data sets with the same models, for experiments that take it."""
    decision: Decision = Decision()
    """Budgets, quality targets and prices to decide under."""

    @property
    def modules(self) -> list[str]:
        """Modules from outside the package that it names: they are trusted, and their code runs."""
        named = [*self.source.parts, self.encoders.text, self.encoders.image]
        named += self.experiments.values()
        named += self.text_only.parts if self.text_only else []
        for router in self.routers.values():
            named += [router, *([router.fusion] if router.fusion else [])]
        return sorted({part.name.split(":")[0] for part in named if ":" in part.name})

    @property
    def elsewhere(self) -> dict[str, str]:
        """Rows that a router from elsewhere has, and the file of what it chose."""
        files = {row: router.elsewhere for row, router in self.routers.items()}
        return {row: file for row, file in files.items() if file}

    @model_validator(mode="after")
    def _decided_on_exists(self) -> "Config":
        known = known_routers(self.routers)
        usable = [
            row
            for row, router in known.items()
            if not find("routers", router.name).attributes.get("upper_bound")
            and not router.elsewhere
        ]
        row = self.decision.router.removesuffix(SHRUNK)
        if row in known and known[row].elsewhere:
            raise ValueError(
                f"decision.router: {row!r} are choices from elsewhere, by which no new query can "
                "be routed; choose from: " + ", ".join(usable)
            )
        if row not in usable or (row != self.decision.router and not known[row].predicts):
            raise ValueError(
                f"decision.router: {self.decision.router!r} is no router that could be used; "
                "choose from: " + ", ".join(usable)
            )
        return self

    @model_validator(mode="after")
    def _studied_exist(self) -> "Config":
        known = known_routers(self.routers)
        for name in self.studied:
            if name in known and known[name].elsewhere:
                raise ValueError(
                    f"studied: {name!r} are choices from elsewhere, which no experiment can train "
                    "anew; choose from: "
                    + ", ".join(row for row, router in known.items() if router.fusion)
                )
            if name not in known or known[name].fusion is None:
                raise ValueError(
                    f"studied: {name!r} is no router with features; choose from: "
                    + ", ".join(row for row, router in known.items() if router.fusion)
                )
        for row in self.needing_text_only:
            if self.text_only is None:
                raise ValueError(f"text_only: the experiment {row} needs this source")
        for row, experiment in self.experiments.items():
            attributes = {} if row == TRUNK else find("experiments", experiment.name).attributes
            for name in attributes.get("routers", ()):
                if name not in known:
                    raise ValueError(
                        f"experiments: {row} takes the router {name!r}, which is not known; "
                        "give it a row of routers"
                    )
                if known[name].elsewhere:
                    raise ValueError(
                        f"experiments: {row} takes the router {name!r}, whose row of routers are "
                        "choices from elsewhere; name that row otherwise"
                    )
            for name in attributes.get("fusions", ()):
                published_fusion(name)
        return self

    @property
    def needing_text_only(self) -> list[str]:
        """Experiments that take the text-only source."""
        return [
            row
            for row, one in self.experiments.items()
            if row != TRUNK and find("experiments", one.name).attributes.get("text_only")
        ]


def load(content: Mapping[str, Any], origin: str) -> Config:
    """Validate a configuration.

    Parameters
    ----------
    content
        The parsed YAML.
    origin
        The file it came from, for messages.

    Raises
    ------
    InputError
        For an unknown key, router, encoder or fusion, or a value of the wrong kind.
    """
    try:
        return Config.model_validate(dict(content))
    except ValidationError as error:
        raise InputError(f"{origin}: config key {describe(error, model=Config)}") from None


def describe(error: ValidationError, prefix: str = "", model: type[BaseModel] | None = None) -> str:
    """The first problem of several in one line; ``model`` knows the keys there are."""
    first, *others = error.errors()
    key = prefix + ".".join(
        str(part) if str(part).isprintable() and len(str(part)) < 200 else _brief(part)
        for part in first["loc"]
    )
    match first["type"]:
        case "extra_forbidden":
            known = _known_keys(model, first["loc"][:-1])
            close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
            if moved := _options_of(first["loc"]):
                way = f"; it is an option below experiments: {moved}"
            elif close:
                way = f"; did you mean {close[0]}?"
            else:
                way = f"; known keys: {', '.join(known)}" if known else ""
            message = f"{key}: unknown key{way}"
        case "missing":
            message = f"{key}: missing; give it a value"
        case "value_error":
            # One about several keys names them itself.
            message = f"{key}: {first['ctx']['error']}".removeprefix(": ")
        case _:
            message = f"{key}: {first['msg']}, not {_brief(first['input'])}"
    return message + (f" (and {len(others)} more)" if others else "")


def _options_of(path: tuple[int | str, ...]) -> str:
    """The experiment that a top-level key would be an option of, or is the name of."""
    if len(path) > 1:
        return ""
    names = (
        name
        for name, entry in catalogue("experiments").items()
        if path[0] in (name, *entry.parameters)
    )
    return next(names, "")


def _known_keys(model: Any, path: tuple[int | str, ...]) -> list[str]:
    for part in path if model else ():
        model = model.model_fields[part].annotation
    return sorted(model.model_fields) if model else []
