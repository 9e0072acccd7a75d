"""Whether CUDA gives what the CPU gives: `python tests/gpu/parity.py FOLDER`, run without a card.

It writes the CPU's results to ``FOLDER/cpu.npz``.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from written import TINY, write_images, write_model

from mmroute.catalogue import build, catalogue
from mmroute.encoders.open_clip import OpenClip
from mmroute.features.embeddings import embed
from mmroute.routers import Pool, fit
from mmroute.routers.end_to_end import EndToEndRouter
from mmroute.routers.gradients import Networks

N_SAMPLES, N_FEATURES, N_MODELS = 120, 16, 4
WITHOUT_DRAWS = {"dropout": 0.0, "noise": 0.0}
"""Devices draw alike from no seed; what routers draw on the CPU stays."""
BRIEF = {
    "epochs": 3,
    "finetune_epochs": 2,
    "finetune_learning_rate": 1e-3,
    "lambdas": [0.0, 100.0],
}
SINGLE, HALF = 2e-3, 5e-3
"""Tolerances in single precision, and where half precision or TF32 keeps 10 bits."""


class Parity(NamedTuple):
    """One result on both devices.

    Attributes
    ----------
    name
        Of what was computed.
    difference
        The largest one, over the largest absolute number of the CPU's result.
    tolerance
        What it must not exceed.
    on_card
        Whether anything was allocated on the card meanwhile.
    """

    name: str
    difference: float
    tolerance: float
    on_card: bool

    @property
    def held(self) -> bool:
        """Whether the results are equal; two of which one is no number are not."""
        return self.difference <= self.tolerance


def compare(folder: Path) -> Iterator[Parity]:
    """Compare each result here with that of a process that sees no card, as soon as it is known."""
    write_model(folder, "tiny", TINY)
    write_images(folder, 56)
    subprocess.run(
        [sys.executable, __file__, str(folder)],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        check=True,
    )
    allocated = _bytes_allocated()
    with np.load(folder / "cpu.npz") as expected:
        for name, tolerance, own in results(folder):
            before, allocated = allocated, _bytes_allocated()
            yield Parity(name, difference(own, expected[name]), tolerance, allocated > before)


def difference(own: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference over the largest absolute number expected."""
    return float(np.abs(own - expected).max() / np.abs(expected).max())


def results(folder: Path) -> Iterator[tuple[str, float, np.ndarray]]:
    """Yield a name, a tolerance and what is computed, on the card if there is one."""
    images = sorted(map(str, folder.glob("*.jpg")))
    frame = pd.DataFrame(
        {
            "question": [f"Which colour is shape {index}?" for index in range(len(images))],
            "image": images,
        }
    )
    model = str(folder / "drawn-tiny.json"), str(folder / "drawn-tiny.pt")
    encoder = OpenClip(*model)
    for modality in ("text", "image"):
        rows = embed(encoder, modality, frame, Path(), 2).vectors
        yield f"OpenCLIP, {modality}", HALF, rows
    towers = {"mode": "finetune", "clip_model": model[0], "pretrained": model[1]}
    for name, entry in catalogue("routers").items():
        kind = getattr(import_module(entry.module), entry.class_name)
        if not issubclass(kind, Networks):
            continue
        given = BRIEF | WITHOUT_DRAWS
        brief = {key: given[key] for key in given.keys() & entry.parameters.keys()}
        yield f"`{name}`", SINGLE, trained(name, brief, features(N_SAMPLES))
        if issubclass(kind, EndToEndRouter):
            yield f"`{name}`, `finetune`", HALF, trained(name, brief | towers, frame)


def features(n_samples: int) -> np.ndarray:
    """Return (n, d) features of samples."""
    drawn = np.random.default_rng(0).normal(size=(n_samples, N_FEATURES))
    return drawn.astype(np.float32)


def trained(name: str, parameters: dict, Z: np.ndarray | pd.DataFrame) -> np.ndarray:
    """Return what a router predicts for the samples that it was trained on.

    A tenth of the outcomes is missing.
    """
    generator = np.random.default_rng(1)
    skill = generator.normal(size=(N_FEATURES, N_MODELS))
    U = (features(len(Z)) @ skill > 0).astype(float)
    C = generator.lognormal(size=U.shape) * np.geomspace(0.1, 1, N_MODELS)
    U[generator.random(U.shape) < 0.1] = np.nan
    C[np.isnan(U)] = np.nan
    pool = Pool(pd.DataFrame(), 1.0, np.empty(0), np.empty(0))
    router = fit(build("routers", name, parameters), Z, U, C, pool)
    if hasattr(router, "predict_scores"):
        return router.predict_scores(Z)
    return np.stack(router.predict(Z))


def _bytes_allocated() -> int:
    return torch.cuda.memory_stats().get("allocated_bytes.all.allocated", 0)


if __name__ == "__main__":
    own = Path(sys.argv[1])
    np.savez(own / "cpu.npz", **{name: computed for name, _, computed in results(own)})
