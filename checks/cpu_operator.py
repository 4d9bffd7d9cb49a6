"""An operator runs on the CPU although the target has an NPU.

**Why.** The NPU has no unit for it, so the processor does it in software, mostly in float with a
conversion before and after. One small operator costs little; one over a large map, or many of them,
decide the latency.

**Fix.** The message names the replacement where there is one; otherwise move the operator to the
end of the network and cut it off, or accept the cost.

**Limits.** The place is what compiles of int8 models show and, where none does, the compiler's
table; a float model runs on the CPU as a whole, and the finding says what stays there once it is
quantised. "At best" marks an operator that the importer reads and the NPU's table leaves out:
nothing says what becomes of it. A condition that sends an operator to the CPU is
operator-constraint, a value without a scale float-island.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import (
    Example,
    Facts,
    Hit,
    Node,
    Operator,
    OperatorPlace,
    Place,
    Rule,
    Severity,
    Target,
    broken,
    operators,
)


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield the nodes that the target's table, or the way they are compiled, puts on the CPU."""
    for node, found in operators(facts, target) if target.npu else ():
        row = target.operator(node.op_type, node.domain)
        if not found.leaves_npu or row is None:
            continue
        if row.runs_on == "cpu":
            severity = Severity.WARNING if row.costly else Severity.NOTE
            yield node.hit(_of_table(node, row, found), severity=severity, cost=found.cost)
        elif found.rule != "float" and not _has_condition(node, target):
            yield node.hit(_of_pattern(node, found), severity=Severity.NOTE, cost=found.cost)


def _of_table(node: Node, row: Operator, found: OperatorPlace) -> str:
    note = f" ({row.note})" if row.note else ""
    if found.rule == "float":
        note = f", in float: {found.reason}"
    fix = f"; {row.fix}" if row.fix else ""
    at_best = " at best" if row.confidence == "inferred" else ""
    return f"{node.full_type} runs on the CPU{at_best}{note}{fix}"


def _of_pattern(node: Node, found: OperatorPlace) -> str:
    where = "partly on the CPU" if found.place is Place.HYBRID else "on the CPU"
    fix = f"; {found.advice}" if found.advice else ""
    return f"{node.full_type} runs {where}: {found.reason}{fix}"


def _has_condition(node: Node, target: Target) -> bool:
    """Tell whether operator-constraint says why."""
    return any(row.effect == "cpu" for row, _ in broken(node, target))


RULE = Rule(
    id="NPU202",
    name="cpu-operator",
    severity=Severity.NOTE,
    doc=__doc__,
    sources=("https://stedgeai-dc.st.com/assets/embedded-docs/stneuralart_operator_support.html",),
    check=check,
    examples=(
        Example(
            title="a costly one, a cheap one and one of unknown cost",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8, 4, 4] x) => (float[1, 8, 4, 4] y)
                <float[8] s, float[8] b> {
                    n = InstanceNormalization (x, s, b)
                    e = Elu (n)
                    y = Sign (e)
                }
            """,
            messages=(
                (
                    "InstanceNormalization runs on the CPU; use BatchNormalization, which folds"
                    " into a Conv"
                ),
                "Elu runs on the CPU",
                (
                    "Sign runs on the CPU at best (the importer reads it; the table of the NPU does"
                    " not list it)"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8, 4, 4] x) => (float[1, 8, 4, 4] y)
                {
                    y = LeakyRelu (x)
                }
            """,
        ),
    ),
)
