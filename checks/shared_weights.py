"""Several Gemm or MatMul nodes read one weight.

**Why.** One version of the compiler crashed on a shared per-channel weight.

**Fix.** Give each node a copy of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import (
    Example,
    Facts,
    Hit,
    Node,
    Rule,
    Severity,
    Target,
    weight,
    weight_source,
)


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each shared weight, at the first of its readers."""
    readers: dict[str, list[Node]] = {}
    for node in facts.nodes_of("Gemm", "MatMul"):
        held = weight_source(node) or weight(node)
        if held is not None and held.kind == "initializer" and (held.rank or 0) > 1:
            readers.setdefault(held.name, []).append(node)
    for name, nodes in readers.items():
        if len(nodes) > 1:
            yield nodes[0].hit(f"weight {name!r} is read by {len(nodes)} {nodes[0].op_type} nodes")


RULE = Rule(
    id="NPU225",
    name="shared-weights",
    severity=Severity.NOTE,
    doc=__doc__,
    sources=("LarocheC/stm32n6-deployment-zoo, known issues, Core 4.0.1",),
    check=check,
    repair="copy-shared-weights",
    examples=(
        Example(
            title="two products with one matrix",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) <float[4, 4] w>
                { h = MatMul (x, w)  y = MatMul (h, w) }
            """,
            messages=("weight 'w' is read by 2 MatMul nodes",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, int8[4, 3, 1, 1] w,
                 float[4] ws = {0.1, 0.1, 0.1, 0.1}, int8[4] wz = {0, 0, 0, 0}>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  wd = DequantizeLinear <axis = 0> (w, ws, wz)
                  c = Conv (xd, wd)
                  cq = QuantizeLinear (c, s, z)
                  y = DequantizeLinear (cq, s, z)
                }
            """,
        ),
    ),
)
