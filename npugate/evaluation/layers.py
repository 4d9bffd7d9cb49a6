"""Which operator loses the most: the same tensors of both models, compared one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from onnx import ModelProto, TensorProto

from npugate.evaluation.spread import TOP_DB, Spread
from npugate.evaluation.values import LayerLoss
from npugate.facts import Facts, Node
from npugate.operators import WEIGHTED
from npugate.proof.samples import Sample
from npugate.proof.sessions import Session

_DEQUANTIZED: Final = "_DequantizeLinear_Output"
_AT_ONCE: Final = 32  # tensors shown by one session, to bound what is held


def losses(
    original: ModelProto, facts: Facts, quantized: ModelProto, samples: Sequence[Sample]
) -> tuple[LayerLoss, ...]:
    """Measure every tensor that both models have; the operator that loses most first.

    Args:
        original: the float model.
        facts: of the float model.
        quantized: the int8 model, whose tensors keep their names.
        samples: at least two, else nothing varies; each feeds T[*dims] by input name.

    Raises:
        CannotRunError: a model cannot be run with its tensors shown.
    """
    made = {name for node in quantized.graph.node for name in node.output}
    twins = {
        tensor.name: tensor.name + _DEQUANTIZED
        if tensor.name + _DEQUANTIZED in made
        else tensor.name
        for tensor in facts.main.tensors.values()
        if tensor.dtype == TensorProto.FLOAT
        and not tensor.is_constant
        and (tensor.name in made or tensor.name + _DEQUANTIZED in made)
        and tensor.elements
    }
    found: dict[str, float] = {}
    order = list(twins)
    for start in range(0, len(order), _AT_ONCE):
        names = order[start : start + _AT_ONCE]
        found |= _measured(original, quantized, {name: twins[name] for name in names}, samples)
    return _ranked(facts, found)


def _measured(
    original: ModelProto,
    quantized: ModelProto,
    twins: Mapping[str, str],
    samples: Iterable[Sample],
) -> dict[str, float]:
    spreads = {name: Spread() for name in twins}
    inputs = {info.name for info in original.graph.input}
    left = Session(original, [name for name in twins if name not in inputs])
    right = Session(quantized, list(twins.values()))
    for sample in samples:
        mine = {**sample.feeds, **left.run(sample.feeds)}
        other = right.run(sample.feeds)
        for name, twin in twins.items():
            spreads[name].add(mine[name], other[twin])
    ratios = {name: spread.sqnr_db() for name, spread in spreads.items()}
    return {name: ratio for name, ratio in ratios.items() if ratio is not None}


def _ranked(facts: Facts, found: Mapping[str, float]) -> tuple[LayerLoss, ...]:
    rows: list[LayerLoss] = []
    for node in facts.main.nodes:
        tensor = node.output()
        if tensor is None or tensor.name not in found:
            continue
        group, before = _reach(node, found)
        after = found[tensor.name]
        lost = min(before, default=TOP_DB) - after
        heavy = next((member for member in group if member.op_type in WEIGHTED), node)
        kinds = " + ".join(dict.fromkeys(member.full_type for member in reversed(group)))
        rows.append(LayerLoss(heavy.label, kinds, tensor.name, after, lost))
    return tuple(sorted(rows, key=lambda row: (-row.lost_db, row.node)))


def _reach(node: Node, found: Mapping[str, float]) -> tuple[list[Node], list[float]]:
    """Walk up to the tensors that were measured; the quantiser merges what lies between.

    Returns:
        The nodes on the way, this one first, and the ratios at their ends.
    """
    group, ends, waiting = [node], [], [node]
    while waiting:
        for tensor in waiting.pop().inputs:
            if tensor is None or tensor.is_constant:
                continue
            if tensor.name in found:
                ends.append(found[tensor.name])
            elif tensor.producer is not None and tensor.producer not in group:
                group.append(tensor.producer)
                waiting.append(tensor.producer)
    return group, ends
