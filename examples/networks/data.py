"""Synthetic data for the three networks, made from a seed; numpy only.

- shapes: 32x32 colour images of one of six shapes, any size, place, colour and noise
- keywords: 16 bands by 128 frames of energy, one of six sounds (sweeps, tones, clicks, noise)
- blobs: 48x48 colour images with discs and squares on a textured ground, the class of each pixel
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]
SPLITS: Final = {"train": 0, "calibration": 1, "test": 2}
SHAPES: Final = ("disc", "ring", "square", "cross", "triangle", "bar")
_CLICK: Final = 2  # frames
SOUNDS: Final = ("rising", "falling", "tone", "two tones", "clicks", "noise")


def make(network: str, split: str, count: int) -> tuple[Floats, Whole]:
    """Return samples and their labels.

    Args:
        network: key of ``MAKERS``.
        split: key of ``SPLITS``; no two splits share a sample.
        count: of samples; the classes take turns.
    """
    rng = np.random.default_rng([SPLITS[split], *network.encode()])
    made = [MAKERS[network](rng, number) for number in range(count)]
    samples = np.stack([sample for sample, _ in made]).astype(np.float32)
    return samples, np.stack([label for _, label in made]).astype(np.int64)


def _shape(rng: np.random.Generator, number: int) -> tuple[Floats, Whole]:
    kind = number % len(SHAPES)
    side = 32
    y, x = np.mgrid[:side, :side].astype(np.float64)
    radius = rng.uniform(6, 12)
    across = x - rng.uniform(radius, side - radius)
    down = y - rng.uniform(radius, side - radius)
    mask = _mask(SHAPES[kind], across, down, radius)
    ground, colour = rng.uniform(0, 0.6, 3), rng.uniform(0.4, 1, 3)
    image = np.where(mask, colour[:, None, None], ground[:, None, None])
    return (image + rng.normal(0, 0.3, image.shape)).astype(np.float32), np.array(kind)


def _mask(name: str, x: Floats, y: Floats, radius: float) -> npt.NDArray[np.bool_]:
    far, wide, high = np.hypot(x, y), np.abs(x), np.abs(y)
    return {
        "disc": far < radius,
        "ring": (far < radius) & (far > 0.55 * radius),
        "square": np.maximum(wide, high) < 0.85 * radius,
        "cross": (np.minimum(wide, high) < 0.25 * radius) & (np.maximum(wide, high) < radius),
        "triangle": (y < 0.8 * radius) & (y > 2 * wide - radius),
        "bar": (wide < radius) & (high < 0.25 * radius),
    }[name]


def _sound(rng: np.random.Generator, number: int) -> tuple[Floats, Whole]:
    kind = number % len(SOUNDS)
    bands, frames = 16, 128
    band, time = np.mgrid[:bands, :frames].astype(np.float64)
    start, length = rng.integers(0, 40), rng.integers(50, 85)
    inside = (time >= start) & (time < start + length)
    passed = np.clip((time - start) / length, 0, 1)
    low, high = sorted(rng.uniform(1, 14, 2))
    high = max(high, low + 4)
    energy = {
        "rising": _near(band, low + passed * (high - low)),
        "falling": _near(band, high - passed * (high - low)),
        "tone": _near(band, low),
        "two tones": np.maximum(_near(band, low), _near(band, high)),
        "clicks": ((time - start) % rng.integers(8, 14) < _CLICK).astype(np.float64),
        "noise": rng.uniform(0, 1, band.shape),
    }[SOUNDS[kind]]
    made = np.where(inside, energy * rng.uniform(0.6, 1.2), 0)
    made = made + rng.normal(0, 0.4, made.shape)
    return made.astype(np.float32), np.array(kind)


def _near(band: npt.NDArray[np.float64], centre: object) -> npt.NDArray[np.float64]:
    return np.exp(-((band - np.asarray(centre)) ** 2) / 1.5)


def _scene(rng: np.random.Generator, _number: int) -> tuple[Floats, Whole]:
    side = 48
    y, x = np.mgrid[:side, :side].astype(np.float64)
    wave = np.sin(x * rng.uniform(0.2, 0.6) + y * rng.uniform(0.2, 0.6) + rng.uniform(0, 6))
    image = np.stack([0.3 + 0.1 * wave + rng.uniform(-0.1, 0.1) for _ in range(3)])
    classes = np.zeros((side, side), np.int64)
    for kind in rng.permutation([1, 2, rng.integers(1, 3)]):
        radius = rng.uniform(5, 10)
        across, down = x - rng.uniform(8, side - 8), y - rng.uniform(8, side - 8)
        inside = np.hypot(across, down) if kind == 1 else np.maximum(np.abs(across), np.abs(down))
        mask = inside < radius
        classes[mask] = kind
        colour = rng.uniform(0.4, 1, 3)
        image = np.where(mask, colour[:, None, None], image)
    return (image + rng.normal(0, 0.06, image.shape)).astype(np.float32), classes


MAKERS: Final[Mapping[str, Callable[[np.random.Generator, int], tuple[Floats, Whole]]]] = {
    "shapes": _shape,
    "keywords": _sound,
    "blobs": _scene,
}
