"""A small exported router, trained on drawn questions and images (simulated)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from mmroute.catalogue import build, find
from mmroute.config import parse_router
from mmroute.decision.card import CARD, CURVE, FEATURES, FORMAT, MODEL_CARD, ROUTER, write_digests
from mmroute.decision.deployed import CURVE_COLUMNS, probe
from mmroute.features.embeddings import embed
from mmroute.features.fusion import Features
from mmroute.features.side_features import side_features
from mmroute.persistence import write
from mmroute.routers import Pool, fit
from mmroute.storage import write_json, write_text

MODELS = ("small", "middle", "large", "blind")
PRICE = np.array([0.001, 0.003, 0.01, 0.002])
"""USD of a call on average."""
SIZE = 120


def questions(count: int, seed: int = 0) -> list[str]:
    """Draw questions that tell how hard they are."""
    generator = np.random.default_rng(seed)
    words = np.array([f"word{index}" for index in range(60)])
    return [
        f"{'Prove that' if hard else 'Count'} {' '.join(generator.choice(words, 10))} {row}?"
        for row, hard in enumerate(generator.random(count) < 0.5)
    ]


def picture(path: Path, seed: int) -> Path:
    """Draw an image file."""
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def export_drawn(folder: Path, router: str | None = "ensemble", **told: Any) -> Path:
    """Write a router as ``mmroute export`` does, its card with what is ``told``.

    Without a router it is the mixture of the first two models.
    """
    folder.mkdir()
    images = [str(picture(folder / f"{row}.png", row)) for row in range(SIZE // 3)]
    samples = pd.DataFrame(
        {"question": questions(SIZE), "image": images + [None] * (SIZE - len(images))}, dtype=object
    )
    generator = np.random.default_rng(1)
    hard = samples["question"].str.startswith("Prove").to_numpy()[:, None]
    right = np.where(hard, [0.2, 0.5, 0.9, 0.4], [0.9, 0.9, 0.95, 0.9])
    utility = (generator.random(right.shape) < right).astype(float)
    cost = PRICE * generator.lognormal(sigma=0.3, size=right.shape)
    unit = float(cost[:, 2].mean())
    card: dict[str, Any] = {
        "format": FORMAT,
        "mmroute": "",
        "benchmark": "drawn",
        "simulated": True,
        "row": router or MODELS[0],
        "reason": "for a test",
        "mixture": {"first": "small", "second": "middle", "share": 0.0 if router else 0.5},
        "labels": "all",
        "n_labels": SIZE,
        "limit": None,
        "listed_usd": None,
        "router": None,
        "fusion": None,
        "shrinkage": None,
        "policy": "lambda",
        "threshold": 0.1 if router else None,
        "unit_usd": unit,
        "models": [
            {"model": model, "utility": float(u), "cost_usd": float(c)}
            | {"usd_per_1m_prompt_tokens": 1.0, "usd_per_1m_completion_tokens": 10.0}
            for model, u, c in zip(MODELS, utility.mean(axis=0), cost.mean(axis=0), strict=True)
        ],
        "encoders": {},
        "measured": {},
    }
    if router:
        encoders = {modality: build("encoders", "builtin", {}) for modality in ("text", "image")}
        seen = [embed(encoder, name, samples, Path(), 1) for name, encoder in encoders.items()]
        side = side_features(samples, Path())
        own = find("routers", router).attributes["fusion"]
        fitted = Features.fit(build("features", own, {}), *seen, side)
        parameters = {"n_trees": 10} if router == "ensemble" else {}
        trained = fit(
            build("routers", router, parameters),
            fitted.transform(*seen, side),
            utility,
            cost / unit,
            Pool(pd.DataFrame({"model": MODELS}), unit, cost, cost),
        )
        write(folder / ROUTER, trained)
        write(folder / FEATURES, fitted)
        named = parse_router(router, parameters or None)
        card["router"] = {"name": router, "parameters": dict(named.parameters)}
        card["fusion"] = {"name": named.fusion.name, "parameters": dict(named.fusion.parameters)}
        card["encoders"] = {
            modality: {"name": "builtin", "parameters": {}, "checkpoint": None}
            | {"probe": probe(encoder, modality).tolist()}
            for modality, encoder in encoders.items()
        }
    # Of a threshold it tells what it cost: the dearest first.
    shares = np.linspace(0, 1, 6)
    columns = (shares, 10 - 8 * shares, 0.9 - 0.1 * shares, 1 + 0 * shares, 1 + 0 * shares, shares)
    write(folder / CURVE, dict(zip(CURVE_COLUMNS, columns, strict=True)))
    for image in folder.glob("*.png"):
        image.unlink()
    write_json(folder / CARD, card | told)
    write_text(folder / MODEL_CARD, "# Drawn\n")
    write_digests(folder)
    return folder
