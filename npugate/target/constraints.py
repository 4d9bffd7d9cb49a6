"""Check the constraints of a target on a node; the conditions are in ``predicates``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

# Each of the three modules registers its predicates when it is imported.
from npugate.target.predicates import layout, values, windows
from npugate.target.predicates.predicate import PREDICATES, Predicate

if TYPE_CHECKING:  # annotations only: both import this module or onnx
    from npugate.facts.graph import Node
    from npugate.target.rows import Constraint
    from npugate.target.values import Target

__all__ = ["PREDICATES", "Predicate", "acts_on_batch", "broken", "layout", "values", "windows"]


def broken(node: Node, target: Target) -> Iterator[tuple[Constraint, str]]:
    """Yield the constraints of a target that a node breaks, each with its message.

    A node whose results are all known at compile time is folded by the compiler and breaks none.
    """
    if node.domain or all(out is None or out.is_constant for out in node.outputs):
        return
    for row in target.constraints.get(node.op_type, ()):
        found = PREDICATES[row.when].test(node, row.args)
        if found is not None:
            fix = f"; {row.fix}" if row.fix else ""
            words = f" (the compiler prints: {row.error_text})" if row.error_text else ""
            yield row, f"{row.id}: {row.text.format_map(found)}{fix}{words}"


def acts_on_batch(constraint: Constraint) -> bool:
    """Tell whether a constraint is about the leading axis of a tensor."""
    return PREDICATES[constraint.when].on_batch
