"""Control flow whose way is known before the model runs.

**Why.** An exporter wrote an `if` or a `for` of the program into the model although nothing in it
depends on the data. The compiler reads no control flow and stops at the operator all the same.

**Fix.** Take the branch that runs, or write the turns of the loop out: export with `torch.export`,
or with plain Python numbers instead of tensors in the condition.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target, settled


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each If and Loop that the target has no way to run, and that can be written out."""
    for node in facts.nodes_of("If", "Loop"):
        way = settled(node)
        row = target.operator(node.op_type, node.domain)
        if way and (row is None or row.runs_on == "none"):
            name = f"{target.name} ({target.toolchain})"
            yield node.hit(f"{node.op_type} is not supported on {name}, and {way}")


RULE = Rule(
    id="NPU228",
    name="settled-control-flow",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "https://stedgeai-dc.st.com/assets/embedded-docs/supported_ops_onnx.html",
        "https://stedgeai-dc.st.com/assets/embedded-docs/stneuralart_operator_support.html",
    ),
    check=check,
    repair="fold-constants",
    examples=(
        Example(
            title="a branch that is always taken",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) <bool is_small = {1}> {
                    y = If (is_small) <
                        then_branch = small () => (float[1, 4] a) { a = Relu (x) },
                        else_branch = large () => (float[1, 4] b) { b = Sigmoid (x) }
                    >
                }
            """,
            messages=("If is not supported on stm32n6 (2.2), and its condition is always true",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
        Example(
            title="a loop of three turns",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) <int64 turns = {3}, bool yes = {1}> {
                    y = Loop (turns, yes, x) <
                        body = turn (int64 number, bool go, float[1, 4] before)
                            => (bool more, float[1, 4] after) {
                            more = Identity (go)
                            after = Relu (before)
                        }
                    >
                }
            """,
            messages=("Loop is not supported on stm32n6 (2.2), and it always runs 3 times",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) {
                    a = Relu (x)
                    b = Relu (a)
                    y = Relu (b)
                }
            """,
        ),
    ),
)
