"""Read a model file without reading its weights, and without trusting it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from onnx import ModelProto

from npugate.types import Limits, Problem

KEEP_BYTES: Final = 4096  # payloads up to this stay: axes, shapes, zero points, scales


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it was found.

    Attributes:
        path: as reported: relative to the repository root, forward slashes.
        file: where the bytes are; None for a model made in memory.
        digest: sha256 of the file, hex.
        size_bytes: of the file.
        proto: the model; payloads of tensors above ``KEEP_BYTES`` are dropped, everything else is
            as in the file. ``holds_data`` tells for one tensor.
        problems: faults seen while reading (external data, payload sizes).
    """

    path: str
    file: Path | None
    digest: str
    size_bytes: int
    proto: ModelProto
    problems: tuple[Problem, ...] = ()


def load(file: Path, path: str, limits: Limits) -> Model:
    """Read a model file.

    Args:
        file: the file to read.
        path: the name to report it under.
        limits: bounds on size, depth and node count.

    Raises:
        ModelError: it cannot be read; carries the name of the rule that reports it.
    """
    raise NotImplementedError
