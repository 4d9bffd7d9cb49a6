"""What ``npugate export`` calls for the rPPG networks.

npugate export examples.rppg.entry:original --output rppg.onnx
npugate export examples.rppg.entry:clean --output rppg_clean.onnx
"""

from __future__ import annotations

import torch
from torch import Tensor

from examples.rppg import train
from examples.rppg.model import RPPG6D, RPPGClean, clean_twin


def original() -> tuple[RPPG6D, Tensor]:
    """Return the network as first written, with the committed weights."""
    return train.load(), torch.zeros(1, 72, 36, 36)


def clean() -> tuple[RPPGClean, Tensor]:
    """Return its twin for an accelerator, with the same weights."""
    return clean_twin(train.load()), torch.zeros(1, 72, 36, 36)
