"""Follow the elements of a tensor: through views and conversions, to who made and who reads them.

A quantised model gives one value several names: as computed, quantised, dequantised, reshaped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from npugate.facts.graph import Node, Tensor
from npugate.operators import CONVERSIONS, GATES, VANISHING, VIEWS

_FORMS: Final = VIEWS - {"Transpose"} | CONVERSIONS | {"Dropout"}


def runs(node: Node) -> bool:
    """Tell whether an operator is left at run time: not folded, no view, no conversion."""
    return not (is_form(node) or node.op_type in VANISHING or is_folded(node))


def is_folded(node: Node) -> bool:
    """Tell whether all that a node makes is known before a run."""
    return all(made is None or made.is_constant for made in node.outputs)


def is_form(node: Node) -> bool:
    """Tell whether the result of a node has the elements of its first input, in their order."""
    return node.op_type in _FORMS


def source(tensor: Tensor) -> Tensor:
    """Return the tensor whose elements a value is, looking through views and conversions."""
    at = tensor
    while at.producer is not None and is_form(at.producer) and not at.is_constant:
        before = at.producer.input(0)
        if before is None or before.is_constant:
            break
        at = before
    return at


def maker(tensor: Tensor) -> Node | None:
    """Return the operator that computes a value, looking through views and conversions."""
    return source(tensor).producer


def forms(tensor: Tensor) -> Iterator[Tensor]:
    """Yield a value and its views and conversions."""
    waiting = [tensor]
    while waiting:
        at = waiting.pop()
        yield at
        for node in at.consumers:
            made = node.output()
            if is_form(node) and node.input(0) is at and made is not None:
                waiting.append(made)


def readers(tensor: Tensor) -> Iterator[Node]:
    """Yield the operators that read a value in any of its forms; one for each use."""
    for form in forms(tensor):
        yield from (node for node in form.consumers if runs(node))


def is_given_out(tensor: Tensor) -> bool:
    """Tell whether a value is, in any of its forms, an output of the graph."""
    return any(form.is_output for form in forms(tensor))


def swish_gate(product: Node) -> Node | None:
    """Return the sigmoid of ``x * sigmoid(x)``; None for any other product."""
    if product.op_type != "Mul":
        return None
    values = [source(tensor) for tensor in product.inputs if tensor is not None]
    makers = (value.producer for value in values)
    gates = (node for node in makers if node is not None and node.op_type in GATES)
    return next(
        (gate for gate in gates if any(source(t) in values for t in gate.inputs[:1] if t)), None
    )
