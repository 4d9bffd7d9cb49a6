"""An operator has an output that nothing reads.

**Why.** The compiler wants every output connected: it plans a buffer for each and follows it to a
reader.

**Fix.** Export in evaluation mode (which drops outputs that only training needs),
leave the name of an optional output empty, or remove the dead operator.

**Limits.** A warning, because no compiler's own words for it are known. Operators that disappear at
import, such as Dropout with its mask, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield the outputs that no operator reads and that no graph returns."""
    for node in facts.nodes:
        row = target.operator(node.op_type, node.domain)
        if row is not None and row.runs_on == "folded":
            continue
        for position, output in enumerate(node.outputs):
            if output is None or output.consumers or output.is_output or output.is_constant:
                continue
            message = f"output {position} of {node.full_type} is read by nothing"
            yield node.hit(message, value=output.name)


RULE = Rule(
    id="NPU205",
    name="unconnected-output",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("https://stedgeai-dc.st.com/assets/embedded-docs/stneuralart_operator_support.html",),
    check=check,
    repair="remove-unused",
    examples=(
        Example(
            title="the indices of a pool",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 4, 4] y)
                {
                    d, mask = Dropout (x)
                    y, indices = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (d)
                }
            """,
            messages=("output 1 of MaxPool is read by nothing",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 4, 4] y)
                {
                    y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
                }
            """,
        ),
    ),
)
