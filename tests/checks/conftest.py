"""A small benchmark in memory that can be spoilt, and then checked."""

import random
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from mmroute.checks import Check, Remark, check
from mmroute.config import load
from mmroute.outcomes.groups import group_keys
from mmroute.outcomes.splits import split

PRICES = "model,usd_per_1m_prompt_tokens,usd_per_1m_completion_tokens"
WORDS = [f"{a}{b}{c}" for a in "bdfgkl" for b in "aeiou" for c in ("r", "n", "st", "mp", "lt")]


class Found(Check):
    """A check that can be asked for a remark."""

    def one(self, part: str) -> Remark:
        """Return the only remark whose message holds a text."""
        (remark,) = [remark for remark in self.remarks if part in remark.message]
        return remark

    def none(self, part: str) -> bool:
        return not any(part in remark.message for remark in self.remarks)


class Bench:
    """A long table, the config that names it, and what is found."""

    def __init__(self, folder, count=400, models=("a", "b", "c"), datasets=("A", "B")):
        rng = np.random.default_rng(0)
        self.folder = folder
        self.rows = pd.DataFrame(
            [
                {
                    "sample_id": f"s{i}",
                    "dataset": datasets[i % len(datasets)],
                    "scenario": "both",
                    "question": question,
                    "model": model,
                    "utility": int(rng.random() < 0.5),
                    "cost": round((j + 1) * rng.lognormal(), 6),
                }
                for i, question in enumerate(self.sentences(count))
                for j, model in enumerate(models)
            ]
        )
        self.source = {"kind": "table", "path": str(folder / "outcomes.csv")}
        self.config = {"name": "tiny"}

    @staticmethod
    def sentences(count):
        """Return questions that have nothing to do with each other."""
        rng = random.Random(0)
        return [" ".join(rng.choices(WORDS, k=20)) + "?" for _ in range(count)]

    @property
    def number(self):
        return self.rows["sample_id"].str[1:].astype(int)

    @property
    def trained(self):
        """Which samples are in training under salt 0, by their numbers."""
        asked = self.rows.drop_duplicates("sample_id")
        samples = asked.assign(group=asked.get("group", ""), image_digest=None)
        return split(group_keys(samples), 0.2, 0)

    def of(self, model):
        return self.rows["model"] == model

    def draw(self, numbers):
        """Name an image for every sample, and draw those of some."""
        self.rows["image"] = "i" + self.number.astype(str) + ".png"
        for number in numbers:
            colour = (number % 256, number // 256, 0)
            Image.new("RGB", (8, 8), colour).save(self.folder / f"i{number}.png")

    def tokens_for_costs(self):
        """Give token counts instead of costs."""
        rng = np.random.default_rng(1)
        self.rows = self.rows.drop(columns="cost").assign(
            prompt_tokens=rng.integers(50, 90, len(self.rows)),
            completion_tokens=rng.integers(50, 900, len(self.rows)),
        )

    def price_file(self, *lines):
        path = self.folder / "prices.csv"
        path.write_text("\n".join([PRICES, *lines]) + "\n")
        self.source["prices"] = str(path)
        return path

    def check(self, **config) -> Found:
        self.rows.to_csv(self.folder / "outcomes.csv", index=False)
        content = {"source": self.source, **self.config, **config}
        self.config |= config
        found = check(load(content, "config.yaml"), self.folder / "results/tiny/source")
        return Found(**vars(found))

    def cure(self, remark: Remark) -> Found:
        """Change the config as the remark says, and check again."""
        lines = [
            line
            for line in remark.cure.split("\n")
            if re.match(r"(pool|min_coverage|split|experiments): ", line)
        ]
        assert lines, remark
        return self.check(**yaml.safe_load("\n".join(lines)))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)
