"""The axes of a Squeeze or Unsqueeze are computed when the network runs.

**Why.** The compiler reads the axes from the file and answers
`'NoneType' object has no attribute 'get_value'` where it finds none.

**Fix.** Name the axes in the model's code: `x.squeeze(-1).squeeze(-1)`, not `x.squeeze()`; export
again, or fold the computation. From opset 13 on the axes are an input and an attribute is invalid,
so a constant initializer is what is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each node whose axes no folding could find."""
    for node in facts.nodes_of("Squeeze", "Unsqueeze"):
        axes = node.input(1)
        if axes is None or axes.is_constant or axes.constant is not None:
            continue
        maker = f"computed by {axes.producer.op_type}" if axes.producer else "an input"
        yield node.hit(
            f"the axes of {node.op_type}, {axes.name!r}, are {maker}: the compiler answers "
            "'NoneType' object has no attribute 'get_value'"
        )


RULE = Rule(
    id="NPU110",
    name="axes-not-constant",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("the deployment guide behind this project: Squeeze axes must be known",),
    check=check,
    repair="fold-constants",
    examples=(
        Example(
            title="axes that are an input",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4, 1] x, int64[1] axes) => (float[1, 4] y) { y = Squeeze (x, axes) }
            """,
            messages=(
                (
                    "the axes of Squeeze, 'axes', are an input: the compiler answers 'NoneType' "
                    "object has no attribute 'get_value'"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4, 1] x) => (float[1, 4] y) <int64[1] axes = {2}>
                { y = Squeeze (x, axes) }
            """,
        ),
    ),
)
