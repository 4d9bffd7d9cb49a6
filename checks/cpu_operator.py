"""An operator runs on the CPU although the target has an NPU.

**Why.** The NPU has no unit for it, so the processor does it in software, mostly in float with a
conversion before and after. One small operator costs little; one over a large map, or many of them,
decide the latency.

**Fix.** The message names the replacement where there is one; otherwise move the operator to the
end of the network and cut it off, or accept the cost.

**Limits.** The place is what the compiler's table says for an int8 model; a float model runs on the
CPU as a whole. "At best" marks an operator that the importer reads and the NPU's table leaves out:
nothing says what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield the nodes whose operator the target's table places on the CPU."""
    if not target.npu:
        return
    for node in facts.nodes:
        row = target.operator(node.op_type, node.domain)
        if row is None or row.runs_on != "cpu":
            continue
        if all(output is None or output.is_constant for output in node.outputs):
            continue
        note = f" ({row.note})" if row.note else ""
        fix = f"; {row.fix}" if row.fix else ""
        severity = Severity.WARNING if row.costly else Severity.NOTE
        at_best = " at best" if row.confidence == "inferred" else ""
        text = f"{node.full_type} runs on the CPU{at_best}{note}{fix}"
        yield node.hit(text, severity=severity)


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
