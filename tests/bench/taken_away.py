"""A router in use: loading, decisions on stored embeddings, and questions end to end."""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from measure import Case

from mmroute.catalogue import build, find
from mmroute.config import parse_router
from mmroute.decision.card import CARD, CURVE, FEATURES, FORMAT, MODEL_CARD, ROUTER, write_digests
from mmroute.decision.deployed import CURVE_COLUMNS, DeployedRouter, load_router, probe
from mmroute.features.embeddings import Embeddings, embed
from mmroute.features.fusion import Features
from mmroute.features.side_features import side_features
from mmroute.persistence import write
from mmroute.routers import Pool, fit
from mmroute.storage import write_json, write_text

N_TRAIN, N_QUERIES, N_MODELS = 2_074, 10_000, 10
ROUTERS = ("knn", "ensemble")
"""The plainest and the slowest of the default config's that come out best."""


def questions(n_samples: int, seed: int) -> pd.DataFrame:
    """Return text-only samples whose words are drawn."""
    generator = np.random.default_rng(seed)
    words = np.array([f"word{index}" for index in range(500)])
    texts = [" ".join(generator.choice(words, generator.integers(8, 60))) for _ in range(n_samples)]
    return pd.DataFrame({"question": texts, "image": None})


def make_folder(name: str, part: int) -> Path:
    """Train a router on drawn questions and outcomes, and write it as ``mmroute export`` does."""
    samples = questions(N_TRAIN, seed=part)
    encoders = {modality: build("encoders", "builtin", {}) for modality in ("text", "image")}
    probes = {modality: probe(encoder, modality) for modality, encoder in encoders.items()}
    text = embed(encoders["text"], "text", samples, Path(), 1)
    image = Embeddings.masked(N_TRAIN, len(probes["image"]))
    side = side_features(samples, Path())
    fitted = Features.fit(
        build("features", find("routers", name).attributes["fusion"], {}), text, image, side
    )
    generator = np.random.default_rng(part)
    utility = generator.integers(0, 2, (N_TRAIN, N_MODELS)).astype(float)
    cost = generator.lognormal(size=(N_TRAIN, N_MODELS))
    models = pd.DataFrame({"model": [f"m{index}" for index in range(N_MODELS)]})
    router = fit(
        build("routers", name, {}),
        fitted.transform(text, image, side),
        utility,
        cost,
        Pool(models, 1.0, cost, cost),
    )
    folder = Path(tempfile.mkdtemp())
    write(folder / ROUTER, router)
    write(folder / FEATURES, fitted)
    write(folder / CURVE, {column: np.array([0.1]) for column in CURVE_COLUMNS})
    configured = parse_router(name, None)
    card = {
        "format": FORMAT,
        "mmroute": "",
        "benchmark": "drawn",
        "simulated": True,
        "row": name,
        "reason": "for a measurement",
        "mixture": {"first": "m0", "second": "m0", "share": 0.0},
        "labels": "all",
        "n_labels": N_TRAIN,
        "limit": None,
        "listed_usd": None,
        "router": {"name": name, "parameters": dict(configured.parameters)},
        "fusion": {
            "name": configured.fusion.name,
            "parameters": dict(configured.fusion.parameters),
        },
        "shrinkage": None,
        "policy": "lambda",
        "threshold": 0.1,
        "unit_usd": 1.0,
        "models": [
            {"model": model, "utility": 0.5, "cost_usd": 1.0}
            | {"usd_per_1m_prompt_tokens": None, "usd_per_1m_completion_tokens": None}
            for model in models["model"]
        ],
        "encoders": {
            modality: {"name": "builtin", "parameters": {}, "checkpoint": None}
            | {"probe": vector.tolist()}
            for modality, vector in probes.items()
        },
        "measured": {},
    }
    write_json(folder / CARD, card)
    write_text(folder / MODEL_CARD, "# Drawn\n")
    write_digests(folder)
    return folder


def start(folder: Path) -> None:
    """Load a router in a new process and route one question."""
    program = f"import mmroute; mmroute.load_router({str(folder)!r}).route('What is 3 + 4?')"
    subprocess.run([sys.executable, "-c", program], check=True)


def start_python(folder: Path) -> None:
    """Import the libraries that any such router needs."""
    subprocess.run([sys.executable, "-c", "import pandas, pyarrow, sklearn.ensemble"], check=True)


Asked = tuple[DeployedRouter, Embeddings, Embeddings, np.ndarray]


def embedded(name: str, part: int) -> Asked:
    """Return a loaded router and queries as it meets them, embedded before."""
    router = load_router(make_folder(name, part))
    samples = questions(N_QUERIES, seed=part + 1)
    text = embed(build("encoders", "builtin", {}), "text", samples, Path(), 1)
    image = Embeddings.masked(N_QUERIES, len(router.card.encoders["image"].probe))
    return router, text, image, side_features(samples, Path())


def decide(asked: Asked) -> object:
    """Decide for all queries at once."""
    router, text, image, side = asked
    return router.route_embedded(text, image, side)


def decide_singly(asked: Asked) -> object:
    """Decide for 100 queries, each alone, a hundredth of the work."""
    router, text, image, side = asked
    return [
        router.route_embedded(text.take([row]), image.take([row]), side[[row]])
        for row in range(N_QUERIES // 100)
    ]


def with_texts(name: str, part: int) -> tuple[DeployedRouter, pd.DataFrame]:
    """Return a loaded router and 1,000 questions."""
    return load_router(make_folder(name, part)), questions(1000, seed=part + 1)


def route_texts(asked: tuple[DeployedRouter, pd.DataFrame]) -> object:
    """Route the questions from their text."""
    router, samples = asked
    return router.route_all(samples)


def route_texts_singly(asked: tuple[DeployedRouter, pd.DataFrame]) -> object:
    """Route 10 of them, each by a call of its own, a hundredth of the work."""
    router, samples = asked
    return [router.route(question) for question in samples["question"][:10]]


CASES = [
    case
    for name in ROUTERS
    for case in (
        Case(
            name=f"`{name}`: load in a new process, route one question",
            size=f"trained on {N_TRAIN:,} × {N_MODELS}",
            make_input=partial(make_folder, name),
            run=start,
            baseline=start_python,
            max_seconds=5,
            beside="import pandas, pyarrow and scikit-learn",
        ),
        Case(
            name=f"`{name}`: decisions on stored embeddings",
            size=f"{N_QUERIES:,} queries × {N_MODELS}",
            make_input=partial(embedded, name),
            run=decide,
            baseline=decide_singly,
            max_seconds=N_QUERIES / 2_000,
            beside="a hundredth of them, each alone",
        ),
        Case(
            name=f"`{name}`: questions end to end with `builtin`",
            size=f"1,000 texts × {N_MODELS}",
            make_input=partial(with_texts, name),
            run=route_texts,
            baseline=route_texts_singly,
            max_seconds=10,
            beside="a hundredth of them, each by its own call",
        ),
    )
]
