"""Judge each operator of a model once: where it runs, why, at what cost, what instead.

Findings about operators are views of this; so no operator leaves the NPU without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from npugate.estimate import chip
from npugate.estimate.compiled_graph import CompiledGraph, CompiledNode
from npugate.estimate.lowering import Made, lower, rows
from npugate.facts import Node
from npugate.facts.elements import runs
from npugate.findings.values import Cost, Location
from npugate.report.estimate import Engine, Epoch, OperatorPlace, Place
from npugate.target.values import Target


def judge(graph: CompiledGraph, epochs: Iterable[Epoch]) -> tuple[OperatorPlace, ...]:
    """Return the judgement of every node of the main graph of a quantised model.

    Args:
        graph: what becomes of each node.
        epochs: as placed, with their times where these are known.
    """
    mine: dict[Location, list[Epoch]] = {}
    for epoch in epochs:
        mine.setdefault(epoch.operators[0].location, []).append(epoch)
    return tuple(_judged(item, graph.target, mine) for item in graph.nodes)


def forecast(nodes: Iterable[Node], target: Target) -> tuple[OperatorPlace, ...]:
    """Return where operators will run once they are quantised, as far as the target's data says."""
    return tuple(
        _placed(node, lower(node, target, is_integer=True), target, is_forecast=True)
        if runs(node)
        else OperatorPlace(node.location(), Place.FOLDED)
        for node in nodes
    )


def _judged(
    item: CompiledNode, target: Target, mine: Mapping[Location, Sequence[Epoch]]
) -> OperatorPlace:
    location = item.node.location()
    if not item.runs:
        return OperatorPlace(location, Place.FOLDED)
    found = _placed(item.node, item.operators, target, is_converted=item.is_converted)
    if not found.leaves_npu:
        return found
    reason = item.why_float if found.rule == "float" else found.reason
    return OperatorPlace(
        location, found.place, reason, found.advice, found.rule, found.evidence,
        _cost(mine.get(location, ())),
    )  # fmt: skip


def _placed(
    node: Node,
    operators: Sequence[Made],
    target: Target,
    *,
    is_converted: bool = False,
    is_forecast: bool = False,
) -> OperatorPlace:
    """Return where a node runs, by the operators that it becomes."""
    row = target.operator(node.op_type, node.domain)
    location = node.location()
    if row is None or row.runs_on == "none":
        reason = f"{node.full_type} is not in the operator table" if row is None else row.note
        return OperatorPlace(location, Place.UNKNOWN, reason, is_forecast=is_forecast)
    engines = {made.engine for made in operators} | ({Engine.CPU} if is_converted else set())
    if engines == {Engine.NPU}:
        return OperatorPlace(location, Place.NPU, is_forecast=is_forecast)
    place = Place.CPU if engines == {Engine.CPU} else Place.HYBRID
    left = next((made for made in operators if made.engine is not Engine.NPU), None)
    if left is None:  # it moves elements: the NPU does that with floats, too, between conversions
        row_of = rows()["float"]
        return OperatorPlace(
            location, place, row_of.reason, row_of.advice, row_of.key, row_of.source
        )
    return OperatorPlace(
        location, place, left.reason, left.advice, left.rule, left.evidence, None, is_forecast
    )


def _cost(epochs: Iterable[Epoch]) -> Cost:
    """Return what the epochs of an operator take that are not on the NPU."""
    left = [epoch for epoch in epochs if epoch.engine is not Engine.NPU]
    written = sum(access.size_bytes for epoch in left for access in epoch.writes)
    times = [epoch.microseconds for epoch in left if epoch.microseconds and _is_measured(epoch)]
    if len(times) < len(left):
        return Cost(None, written)
    low, likely, high = (
        sum(getattr(time, name) for time in times) for name in ("low", "likely", "high")
    )
    return Cost((low, likely, high), written)


def _is_measured(epoch: Epoch) -> bool:
    """Tell whether the time of an epoch on the CPU rests on a measurement of its operator."""
    kind = epoch.operators[0].kind
    return chip.cpu_rate(kind)[1]
