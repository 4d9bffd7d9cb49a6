"""Bounds that keep a hostile file from costing more than a finding."""

from __future__ import annotations

from msgspec import Struct


class Limits(Struct, frozen=True):
    """Bounds that keep a hostile file from costing more than a finding.

    Attributes:
        model_bytes: largest model file read.
        nodes: most nodes, counted after inlining local functions.
        depth: deepest nesting of subgraphs and of calls of local functions.
        fold_elements: largest tensor that partial evaluation may compute, in elements.
        memory_bytes: address space of the process that examines one model.
        seconds: wall clock for one model, over all tries.
        result_bytes: most that the process may send back.
    """

    model_bytes: int = 4 * 1024**3
    nodes: int = 200_000
    depth: int = 32
    fold_elements: int = 65_536
    memory_bytes: int = 6 * 1024**3
    seconds: float = 60.0
    result_bytes: int = 256 * 1024**2
