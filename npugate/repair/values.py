"""What came of the repairs of one model; data alone, so that a child process can send it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from npugate.findings.values import Hit
from npugate.report.values import RepairReport
from npugate.repository.file_marks import Mark

if TYPE_CHECKING:  # annotations only: it imports onnx
    from onnx import ModelProto


class Repaired(Struct, frozen=True):
    """The repairs of one model, and what they made of it.

    Attributes:
        data: the repaired model as a file; empty when nothing was applied.
        hits: of the repaired model, (rule id, hit); of the original when nothing was applied.
        report: without findings, which are made of the hits, and without output.
        weights: the files of the original's weights, as they were when they were read.
    """

    data: bytes
    hits: tuple[tuple[str, Hit], ...]
    report: RepairReport
    weights: tuple[Mark, ...] = ()

    @property
    def model(self) -> ModelProto | None:
        """The repaired model, read anew each time; None when nothing was applied."""
        from onnx import ModelProto  # noqa: PLC0415 - the parent of the child loads no onnx for it

        return ModelProto.FromString(self.data) if self.data else None
