"""Train one of the three networks and write its weights and data; well under two CPU minutes.

    python -m examples.networks.train shapes build/networks/shapes

Writes ``weights.pt``, ``calibration.npz`` and ``test.npz`` into the folder. Needs torch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from torch import nn

from examples.networks import data, model

SIZES = {"shapes": (3000, 14), "keywords": (1800, 10), "blobs": (700, 16)}  # samples, epochs
BATCH = 30
CALIBRATION, TEST = 200, 300


def train(name: str) -> nn.Module:
    """Return a trained network, in evaluation mode."""
    torch.manual_seed(3)
    torch.set_num_threads(2)
    count, epochs = SIZES[name]
    samples, labels = (torch.from_numpy(part) for part in data.make(name, "train", count))
    network: nn.Module = getattr(model, name)()[0]
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    steps = epochs * -(-count // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    network.train()
    for _ in range(epochs):
        for chosen in torch.randperm(count).split(BATCH):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(samples[chosen]), labels[chosen]).backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def main() -> int:
    """Train, and write what the deployment needs."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    start = monotonic()
    network = train(name)
    torch.save(network.state_dict(), folder / "weights.pt")
    for split, count in (("calibration", CALIBRATION), ("test", TEST)):
        samples, labels = data.make(name, split, count)
        np.savez(folder / f"{split}.npz", x=samples, label=labels)
    samples, labels = data.make(name, "test", TEST)
    with torch.no_grad():
        right = (network(torch.from_numpy(samples)).argmax(1).numpy() == labels).mean()
    sys.stdout.write(f"{name}: {monotonic() - start:.0f} s, {right:.1%} right on the test split\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
