"""Make a node once more, on other inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from npugate.surgery.draft import Draft
from npugate.surgery.node import Attribute, Node, Value


def again(
    draft: Draft,
    node: Node,
    inputs: Sequence[Value | None],
    dims: Sequence[int],
    dtype: int | None = None,
    **changes: Attribute | None,
) -> Value:
    """Emit a node's operator with its attributes, for an output of another shape.

    Args:
        draft: at the node.
        node: has one output.
        inputs: in position order.
        dims: shape of the output.
        dtype: type of the output; None for that of the node's own.
        changes: attributes that differ; None leaves one out.
    """
    given: dict[str, Any] = {**node.attrs, **changes}
    kind = draft.dtype(node.outputs[0]) if dtype is None else dtype
    return draft.emit(str(node.op), inputs, dims, kind, **given)
