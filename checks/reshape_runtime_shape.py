"""The target of a Reshape is computed when the network runs.

**Why.** The compiler needs the shape of every buffer ahead of time.

**Fix.** Write the sizes as numbers in the model's code, or export with static shapes so that the
exporter folds them.

**Limits.** A target that follows from shapes alone is folded and not reported. Where the shape is
open because an input has a symbolic axis, `dynamic-dimension` reports that input and this rule is
silent.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Reshape whose target hangs on data."""
    open_inputs = any(tensor.static_shape is None for tensor in facts.main.inputs)
    for node in facts.nodes_of("Reshape"):
        wanted = node.input(1)
        if wanted is None or wanted.is_constant or wanted.constant is not None:
            continue
        if open_inputs and not wanted.is_graph_input:
            continue
        maker = f"computed by {wanted.producer.op_type}" if wanted.producer else "an input"
        yield node.hit(f"the target of Reshape, {wanted.name!r}, is {maker} at run time")


RULE = Rule(
    id="NPU108",
    name="reshape-runtime-shape",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "the deployment guide behind this project: no dynamic shapes",
        "ST Edge AI Core 2.1, supported_ops_onnx.html: tensors are static",
    ),
    check=check,
    repair="fold-constants",
    examples=(
        Example(
            title="a target that is an input",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 2, 4] x, int64[2] to) => (float[m, n] y) { y = Reshape (x, to) }
            """,
            messages=("the target of Reshape, 'to', is an input at run time",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 2, 4] x) => (float[1, 8] y) <int64[2] to = {1, 8}>
                { y = Reshape (x, to) }
            """,
        ),
    ),
)
