"""Operators run in float in the middle of a quantised model.

**Why.** Between integers and floats the compiler puts conversions on the CPU, and the operators
themselves run there too; each group splits the chain of the accelerator in two.

**Fix.** Quantise the inputs of the operators that are named, or replace them by ones that the
quantiser knows. What is left at the end of the network can move to the host.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import (
    VIEWS,
    Example,
    Facts,
    Hit,
    Node,
    Rule,
    Severity,
    Target,
    float_groups,
)

_NAMED = 5  # operators of a group that the message lists


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield one hit for each connected group, at its first operator."""
    if not target.npu or facts.quantization.form != "qdq":
        return
    for group in float_groups(facts.main.nodes):
        kinds = list(dict.fromkeys(node.full_type for node in group))
        listed = ", ".join(kinds[:_NAMED]) + (", ..." if len(kinds) > _NAMED else "")
        last = all(_ends(node, group) for node in group)
        where = " at the end of the network" if last else ""
        count = "1 operator runs" if len(group) == 1 else f"{len(group)} operators run"
        yield group[0].hit(
            f"{count} in float{where}: {listed}",
            severity=Severity.NOTE if last else None,
            subject="",  # which operators they are may change
        )


def _ends(node: Node, group: list[Node]) -> bool:
    """Tell whether what a node makes goes to its group and the outputs only."""
    members = {id(member) for member in group}
    return all(
        id(reader) in members or reader.op_type in VIEWS
        for made in node.outputs
        if made is not None
        for reader in made.consumers
    )


RULE = Rule(
    id="NPU302",
    name="float-island",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "ST Edge AI Core 2.1, stneuralart_operator_support.html: hybrid operators",
        "real compiles listed in docs/targets/stm32n6.md: DequantizeLinear 0 of 95 on the NPU",
    ),
    check=check,
    examples=(
        Example(
            title="a logarithm between two quantised layers",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y)
                <float s = {0.1}, int8 z = {0}>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  a = Sqrt (xd)
                  b = Abs (a)
                  bq = QuantizeLinear (b, s, z)
                  y = DequantizeLinear (bq, s, z)
                }
            """,
            messages=("1 operator runs in float: Abs",),
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
