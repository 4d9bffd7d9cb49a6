"""An operator runs in float in the middle of a quantised model.

**Why.** The compiler looks for a scale at each value by its name. Where one is missing, the
operator is computed in float on the CPU, with conversions before and after, and splits the chain of
the accelerator in two.

**Fix.** Give the value that is named a QuantizeLinear and a DequantizeLinear at once, quantise the
constant that is named, or replace the operator by one that the quantiser knows. What is left at the
end of the network can move to the host.

**Limits.** A layer that reads quantised data and has float weights is unquantized-weight; an
operator that the NPU has no unit for is cpu-operator, in float or not.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import (
    WEIGHTED,
    Example,
    Facts,
    Hit,
    Node,
    Rule,
    Severity,
    Target,
    dequantize,
    operators,
    readers,
    weight,
)


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each operator that is computed in float; a note where only such ones follow."""
    if not target.npu or facts.quantization.form == "float":
        return
    placed = operators(facts, target)
    loose = [(node, found) for node, found in placed if found.rule == "float" and found.leaves_npu]
    last = _last({id(node): node for node, _ in loose})
    for node, found in loose:
        row = target.operator(node.op_type, node.domain)
        if _has_float_weight(node) or row is None or row.runs_on == "cpu":
            continue
        where = " at the end of the network" if id(node) in last else ""
        text = f"{node.full_type} runs in float on the CPU{where}: {found.reason}"
        severity = Severity.NOTE if id(node) in last else None
        yield node.hit(text, severity=severity, cost=found.cost)


def _last(loose: dict[int, Node]) -> set[int]:
    """Return the operators whose results go to such operators and the outputs only."""
    last: set[int] = set()
    for key, node in reversed(loose.items()):
        results = [made for made in node.outputs if made is not None]
        if all(id(reader) in last for made in results for reader in readers(made)):
            last.add(key)
    return last


def _has_float_weight(node: Node) -> bool:
    """Tell whether unquantized-weight says why."""
    constant = weight(node)
    is_weighted = node.op_type in WEIGHTED or node.op_type == "PRelu"
    if not is_weighted or constant is None:
        return False
    return dequantize(node.input(0)) is not None and dequantize(constant) is None


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
            title="a mean of the image is taken off between two quantised layers",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, float[3, 1, 1] mean>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  a = Sub (xd, mean)
                  b = Add (a, xd)
                  bq = QuantizeLinear (b, s, z)
                  bd = DequantizeLinear (bq, s, z)
                  c = Relu (bd)
                  cq = QuantizeLinear (c, s, z)
                  y = DequantizeLinear (cq, s, z)
                }
            """,
            messages=(
                "Sub runs in float on the CPU: its constant 'mean' is float",
                "Add runs in float on the CPU: its input 'a' has no scale",
            ),
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
