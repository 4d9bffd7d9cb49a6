"""Whether control flow is settled before the model runs: one branch, or so many turns."""

from __future__ import annotations

from typing import Final

from npugate.facts.graph import Graph, Node, Tensor

MOST_TURNS: Final = 64
MOST_COPIES: Final = 2000  # nodes that writing out one loop may make
_FIXED: Final = 2  # inputs of a body: the number of the turn, the condition
RANDOM: Final = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"}
    | {"Bernoulli", "Multinomial", "Dropout"}
)


def settled(node: Node) -> str:
    """Say how an ``If`` or ``Loop`` goes that can be written out; empty when it is not known.

    A Loop that may stop early, stacks results, draws random numbers, or would need more than
    ``MOST_TURNS`` turns or ``MOST_COPIES`` nodes is not written out.
    """
    if node.domain:
        return ""
    if node.op_type == "If":
        test = _number(node.input(0))
        return "" if test is None else f"its condition is always {'true' if test else 'false'}"
    if node.op_type == "Loop":
        turns = _turns(node)
        return f"it always runs {turns} time{'s' * (turns > 1)}" if turns else ""
    return ""


def _turns(node: Node) -> int:
    body, count = node.subgraphs.get("body"), _number(node.input(0))
    if body is None or count is None or not 1 <= count <= MOST_TURNS:
        return 0
    start = node.input(1)
    is_plain = (
        (start is None or _number(start) == 1)
        and len(node.inputs) == len(body.inputs) >= _FIXED
        and len(body.outputs) == len(body.inputs) - 1  # with more, results are stacked
        and count * len(body.nodes) <= MOST_COPIES
        and not any(inner.op_type in RANDOM for inner in body.nodes)
    )
    return int(count) if is_plain and _goes_on(body) else 0


def _goes_on(body: Graph) -> bool:
    """Tell whether the body always answers that the loop goes on."""
    answer: Tensor | None = body.outputs[0]
    while answer is not None and answer.producer is not None:
        if answer.producer.op_type not in {"Identity", "Cast"}:
            break
        answer = answer.producer.input(0)
    return answer is body.inputs[1] or _number(answer) == 1


def _number(tensor: Tensor | None) -> float | None:
    value = None if tensor is None else tensor.constant
    return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None
