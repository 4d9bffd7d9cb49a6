"""Train the rPPG network on the synthetic pulse data; a minute or two on a CPU.

    python -m examples.rppg.train          (from the repository's root; needs torch)

Writes ``weights.npz`` beside this file and prints the error on the test split.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from examples.rppg import data
from examples.rppg.model import RPPG6D

WEIGHTS = Path(__file__).with_name("weights.npz")
TRAIN, TEST = 800, 200
EPOCHS, BATCH = 12, 20


def train() -> RPPG6D:
    """Return the trained network, in evaluation mode."""
    torch.manual_seed(7)
    torch.set_num_threads(1)  # the order of summation, and so the weights, stay the same
    split = data.make("train", TRAIN)
    images, bpm = torch.from_numpy(split.images), torch.from_numpy(split.bpm)
    model = RPPG6D()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    steps = EPOCHS * (TRAIN // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(TRAIN).split(BATCH):
            optimiser.zero_grad()
            loss = nn.functional.smooth_l1_loss(model(images[chosen]), bpm[chosen], beta=5.0)
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def mean_absolute_error(model: nn.Module) -> float:
    """Return the error on the test split, in beats per minute."""
    split = data.make("test", TEST)
    with torch.no_grad():
        made = torch.cat([model(torch.from_numpy(image[None])) for image in split.images])
    return float(np.abs(made.numpy() - split.bpm).mean())


def load() -> RPPG6D:
    """Return the network with the committed weights, in evaluation mode."""
    model = RPPG6D()
    with np.load(WEIGHTS) as stored:
        model.load_state_dict({name: torch.from_numpy(stored[name]) for name in stored.files})
    return model.eval()


if __name__ == "__main__":
    trained = train()
    np.savez_compressed(WEIGHTS, **{k: v.numpy() for k, v in trained.state_dict().items()})
    baseline = np.abs(data.make("test", TEST).bpm - 100).mean()
    sys.stdout.write(
        f"test MAE {mean_absolute_error(load()):.2f} BPM (always saying 100: {baseline:.1f})\n"
    )
