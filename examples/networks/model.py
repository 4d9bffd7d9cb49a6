"""The three networks: an image classifier, a keyword spotter, a segmenter; small ones."""

from __future__ import annotations

import torch
from torch import nn


def _block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


class Shapes(nn.Module):
    """Six shapes: (1, 3, 32, 32) in, (1, 6) scores out."""

    def __init__(self) -> None:
        """Build it."""
        super().__init__()
        self.features = nn.Sequential(
            _block(3, 16), _block(16, 24, 2), _block(24, 32, 2), _block(32, 48, 2)
        )
        self.pool = nn.AvgPool2d(4)
        self.head = nn.Linear(48, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        return self.head(torch.flatten(self.pool(self.features(x)), 1))


class Keywords(nn.Module):
    """Six sounds by convolutions over time: (1, 16, 128) in, (1, 6) scores out."""

    def __init__(self) -> None:
        """Build it."""
        super().__init__()
        layers: list[nn.Module] = []
        for channels_in, channels_out in ((16, 32), (32, 32), (32, 48), (48, 48)):
            layers += [
                nn.Conv1d(channels_in, channels_out, 5, 2, 2, bias=False),
                nn.BatchNorm1d(channels_out),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers)
        self.pool = nn.AvgPool1d(8)
        self.head = nn.Linear(48, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        return self.head(torch.flatten(self.pool(self.features(x)), 1))


class Blobs(nn.Module):
    """Ground, discs and squares: (1, 3, 48, 48) in, scores (1, 3, 48, 48) out."""

    def __init__(self) -> None:
        """Build it."""
        super().__init__()
        self.first, self.second = _block(3, 16), _block(16, 32, 2)
        self.deep = nn.Sequential(_block(32, 48, 2), _block(48, 48), _block(48, 32))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.third, self.fourth = _block(64, 24), _block(40, 16)
        self.head = nn.Conv2d(16, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores of each pixel."""
        wide = self.first(x)
        half = self.second(wide)
        joined = self.third(torch.cat([self.up(self.deep(half)), half], 1))
        return self.head(self.fourth(torch.cat([self.up(joined), wide], 1)))


def shapes() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Return the classifier and what it takes, for ``npugate export``."""
    return Shapes(), (torch.zeros(1, 3, 32, 32),)


def keywords() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Return the keyword spotter and what it takes."""
    return Keywords(), (torch.zeros(1, 16, 128),)


def blobs() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Return the segmenter and what it takes."""
    return Blobs(), (torch.zeros(1, 3, 48, 48),)
