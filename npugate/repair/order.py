"""In which order repairs are tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

from npugate.rules.values import Repair


def in_order(wanted: Iterable[str], repairs: Mapping[str, Repair]) -> list[str]:
    """Return repairs with what they need, each behind those it comes after."""
    every: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in every:
            every.add(name)
            waiting += repairs[name].needs
    graph = {
        name: {other for other in (*repairs[name].after, *repairs[name].needs) if other in every}
        for name in sorted(every)
    }
    return list(TopologicalSorter(graph).static_order())
