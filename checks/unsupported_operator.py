"""The target's compiler cannot take an operator.

**Why.** The operator is missing from the compiler's list, or its row says that it is refused:
control flow, shapes that depend on the data, post-processing. Import fails at the first of them.

**Fix.** The message names the replacement where there is one. Post-processing is cut off and run
on the host; a decomposition into supported operators is done before quantising.

**Limits.** An operator that the table does not list may still be read by a newer compiler. One
whose result is known at compile time is folded and never reported. An `If` or `Loop` whose way is
known is reported as settled-control-flow, which has a repair.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Node, Rule, Severity, Target, settled


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield the nodes of ONNX's own domains that the target has no way to run."""
    undefined = {problem.location.op_type for problem in facts.problems("operator-not-in-opset")}
    for node in facts.nodes:
        if node.op_type in undefined or not _standard(node) or _folded(node) or settled(node):
            continue
        row = target.operator(node.op_type, node.domain)
        name = f"{target.name} ({target.toolchain})"
        if row is None:
            yield node.hit(f"{node.full_type} is not in the operator table of {name}")
        elif row.runs_on == "none":
            parts = [f"{node.full_type} is not supported on {name}", row.note, row.fix]
            words = f" (the compiler prints: {row.error_text})" if row.error_text else ""
            yield node.hit("; ".join(part for part in parts if part) + words)


def _standard(node: Node) -> bool:
    """Tell whether the operator is one of ONNX; others are the business of custom-operator."""
    return not node.domain or node.domain.startswith("ai.onnx")


def _folded(node: Node) -> bool:
    return all(output is None or output.is_constant for output in node.outputs)


RULE = Rule(
    id="NPU201",
    name="unsupported-operator",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "https://stedgeai-dc.st.com/assets/embedded-docs/supported_ops_onnx.html",
        "https://stedgeai-dc.st.com/assets/embedded-docs/stneuralart_operator_support.html",
    ),
    check=check,
    examples=(
        Example(
            title="an operator that is refused and one that is not listed",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8, 4, 4] x, float[1, 2, 2, 2] grid) => (float[1, 8, 4, 4] y)
                <int64 axis = {1}> {
                    c = CumSum (x, axis)
                    y = Celu (c)
                }
            """,
            messages=(
                "CumSum is not supported on stm32n6 (2.2); not in the list of the importer",
                "Celu is not in the operator table of stm32n6 (2.2)",
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8, 4, 4] x) => (float[1, 8, 4, 4] y)
                {
                    y = Relu (x)
                }
            """,
        ),
    ),
)
