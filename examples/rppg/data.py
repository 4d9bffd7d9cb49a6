"""A synthetic pulse data set with the physics that a camera sees, made from a seed.

Each sample is 8 frames of three skin regions (forehead, left cheek, right cheek), 36x36 pixels, as
reflectance around the mean of each colour. The blood volume changes the skin's colour with the
heart rate, most in green, least in red, with a second harmonic. A face in a video is filmed at 30
frames a second; every fourth frame is kept, so the 8 frames span 0.93 s: more than half a period of
the slowest pulse (40 BPM), and the fastest (160 BPM) stays below the Nyquist limit of 225 BPM.
Phase, pulse strength, skin tone, illumination drift, head motion and sensor noise vary at random.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FRAMES, REGIONS, COLOURS, SIDE = 8, 3, 3, 36
FRAME_SECONDS = 4 / 30
SLOWEST_BPM, FASTEST_BPM = 40.0, 160.0
_COLOUR_GAIN = np.array([0.35, 1.0, 0.55])  # haemoglobin absorbs green most
_REGION_GAIN = np.array([0.8, 1.0, 1.0])  # cheeks pulse more than the forehead
_PULSE = (0.25, 0.4)  # peak change of a colour, in units of its spread over the skin
_NOISE = 0.15  # of one pixel; averaging 1,296 pixels brings it far below the pulse
_DRIFT = 0.05  # illumination change over the clip
_MOTION_PIXELS = 1.0  # largest shift of the texture between first and last frame


@dataclass(frozen=True)
class Split:
    """Images and labels.

    Attributes:
        images: float32[N, 72, 36, 36]; planes ordered (frame, region, colour).
        bpm: float32[N, 1], beats per minute.
    """

    images: npt.NDArray[np.float32]
    bpm: npt.NDArray[np.float32]


SEEDS = {"train": 1, "calibration": 2, "test": 3}


def make(split: str, count: int) -> Split:
    """Make ``count`` samples of a split; heart rates cover 40 to 160 BPM evenly."""
    rng = np.random.default_rng(SEEDS[split])
    edges = np.linspace(SLOWEST_BPM, FASTEST_BPM, count + 1)
    bpm = rng.permutation(rng.uniform(edges[:-1], edges[1:]))
    images = np.stack([_clip(rng, rate) for rate in bpm]).astype(np.float32)
    return Split(images, bpm.astype(np.float32)[:, None])


def _clip(rng: np.random.Generator, bpm: float) -> npt.NDArray[np.float64]:
    seconds = np.arange(FRAMES) * FRAME_SECONDS
    phase = 2 * np.pi * (bpm / 60 * seconds + rng.uniform())
    wave = np.sin(phase) + 0.25 * np.sin(2 * phase + 0.6)
    strength = rng.uniform(*_PULSE)
    pulse = strength * wave[:, None, None] * _REGION_GAIN[:, None] * _COLOUR_GAIN
    drift = _DRIFT * rng.standard_normal() * np.linspace(-1, 1, FRAMES)
    frames = _moving_skin(rng) + (pulse + drift[:, None, None])[..., None, None]
    frames += _NOISE * rng.standard_normal(frames.shape)
    return frames.reshape(FRAMES * REGIONS * COLOURS, SIDE, SIDE)


def _moving_skin(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return float64[FRAMES, REGIONS, COLOURS, SIDE, SIDE]: smooth texture that drifts."""
    grid = np.arange(SIDE) / SIDE
    shift = rng.uniform(-_MOTION_PIXELS, _MOTION_PIXELS, 2) / SIDE
    path = np.linspace(0, 1, FRAMES)
    tone = 0.3 * rng.standard_normal((1, REGIONS, COLOURS, 1, 1))
    kx, ky, start = rng.uniform(1, 3), rng.uniform(1, 3), rng.uniform(0, 2 * np.pi)
    rows = (grid[None, :] + path[:, None] * shift[0])[:, None, None, :, None]
    columns = (grid[None, :] + path[:, None] * shift[1])[:, None, None, None, :]
    texture = 0.3 * np.sin(2 * np.pi * (kx * rows + ky * columns) + start)
    return tone + np.broadcast_to(texture, (FRAMES, REGIONS, COLOURS, SIDE, SIDE))


if __name__ == "__main__":
    # python -m examples.rppg.data calibration 200 calibration.npz
    made = make(sys.argv[1], int(sys.argv[2]))
    np.savez(sys.argv[3], images=made.images, bpm=made.bpm)
