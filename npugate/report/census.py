"""A model in a few numbers, for the reports."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class Census(Struct, frozen=True):
    """A model in a few numbers, for the reports."""

    ir_version: int = 0
    opset: int = 0
    producer: str = ""
    nodes: int = 0
    quantized: str = "float"
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    domains: Mapping[str, int] = field(default_factory=dict)
