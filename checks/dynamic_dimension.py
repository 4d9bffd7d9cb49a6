"""A dimension is not known before the network runs.

**Why.** The compiler lays out every buffer ahead of time, so each size must be a number.

**Fix.** Export without `dynamic_axes` or `dynamic_shapes`, or set the sizes afterwards. A shape
that depends on data (NonZero, NonMaxSuppression) must be computed on the host.

**Limits.** A window larger than its map leaves no shape either, and is reported here. Only the
cause is reported: the input, or the first node whose result depends on data. A symbolic leading
axis of an input is a rule of its own (`symbolic-batch`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from npugate.api import (
    WINDOW_POOLS,
    Example,
    Facts,
    Hit,
    Node,
    Rule,
    Severity,
    Shape,
    Target,
    Tensor,
)

_WINDOWED: Final = WINDOW_POOLS | {"Conv"}


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield the open axes of each input, then the nodes whose result depends on data."""
    for tensor in facts.main.inputs:
        yield from _open_axes(tensor, facts.declared_inputs.get(tensor.name))
    reported = {p.location.node for p in facts.problems("shape-inference-failed")}
    for node in facts.main.nodes:
        if node.domain or node.subgraphs or node.label in reported:
            continue
        if all(tensor is None or _settled(tensor) for tensor in node.inputs):
            yield from _data_dependent(node)


def _open_axes(tensor: Tensor, declared: Shape | None) -> Iterator[Hit]:
    if tensor.dtype == 0:
        yield tensor.hit(f"input {tensor.name!r} is no tensor of a known type")
    elif tensor.shape is None or declared is None:
        yield tensor.hit(f"input {tensor.name!r} has no shape")
    else:
        for axis, dim in enumerate(tensor.shape):
            if not isinstance(dim, int) or dim < 0:
                symbol = dim if isinstance(dim, str) else "unknown"
                text = f"axis {axis} of input {tensor.name!r} is {symbol!r}, not a number"
                yield tensor.hit(text)


def _settled(tensor: Tensor) -> bool:
    return tensor.static_shape is not None


def _data_dependent(node: Node) -> Iterator[Hit]:
    for tensor in node.outputs:
        # A result of unknown rank comes from inference that lacks the operator, not from data.
        if tensor is not None and tensor.shape is not None and tensor.static_shape is None:
            dims = ", ".join(str(d) if isinstance(d, int) else "?" for d in tensor.shape)
            made = f"{tensor.name!r}, made by {node.op_type}"
            if node.op_type in _WINDOWED:  # no data has a say there: onnx gave it an axis below 0
                yield tensor.hit(f"the window is larger than its map, nothing is left of {made}")
            else:
                yield tensor.hit(f"the shape of {made}, depends on data: [{dims}]")


RULE = Rule(
    id="NPU102",
    name="dynamic-dimension",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "ST Edge AI Core 2.1, stneuralart_operator_support.html: all tensors are static",
        "the deployment guide behind this project: all dimensions fixed",
    ),
    check=check,
    repair="set-static-shapes",
    examples=(
        Example(
            title="a symbolic width",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, width] x) => (float[1, 3, 8, width] y) { y = Relu (x) }
            """,
            messages=("axis 3 of input 'x' is 'width', not a number",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }
            """,
        ),
        Example(
            title="a result whose size depends on data",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (int64[2, n] y) { y = NonZero (x) }
            """,
            messages=("the shape of 'y', made by NonZero, depends on data: [2, ?]",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
        Example(
            title="a window larger than what it slides over",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 4] x) => (float[1, 3, n] y) {
                    y = MaxPool <kernel_shape = [7]> (x)
                }
            """,
            messages=(
                "the window is larger than its map, nothing is left of 'y', made by MaxPool",
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8] x) => (float[1, 3, 2] y) {
                    y = MaxPool <kernel_shape = [7]> (x)
                }
            """,
        ),
    ),
)
