"""What the checks read: OpenCLIP models of random weights, and photographs that are none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mmroute.encoders.open_clip import OpenClip

TEXT_TOWER = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": TEXT_TOWER,
}


def image_towers() -> dict[str, dict[str, Any]]:
    """Return known architectures, the fastest first, each with a text tower that is tiny."""
    import open_clip

    names = ("ViT-B-32", "ViT-L-14", "ViT-H-14")
    return {name: open_clip.get_model_config(name) | {"text_cfg": TEXT_TOWER} for name in names}


def write_model(folder: Path, name: str, config: dict[str, Any]) -> OpenClip:
    """Write a model's config and a checkpoint of random weights, and return its encoder."""
    file = folder / f"drawn-{name}.json"
    file.write_text(json.dumps(config))
    encoder = OpenClip(str(file), str(file.with_suffix(".pt")))
    torch.manual_seed(0)
    torch.save(encoder.untrained().model.state_dict(), encoder.pretrained)
    return encoder


def write_images(folder: Path, count: int) -> list[Path]:
    """Write JPEG files of 640 x 480 pixels, shapes with the grain of a camera: about 100 kB."""
    generator = np.random.default_rng(0)
    paths = [folder / f"{index}.jpg" for index in range(count)]
    for path in paths:
        shapes = Image.fromarray(generator.integers(0, 256, (15, 20, 3), np.uint8))
        smooth = np.asarray(shapes.resize((640, 480), Image.Resampling.BICUBIC))
        grainy = smooth + generator.normal(0, 6, (480, 640, 1))
        Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths
