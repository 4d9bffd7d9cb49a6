"""A parameter of an operator contradicts the operator or another parameter.

**Why.** A bias with another length than the layer has channels, a weight that reads more channels
than the value has, inputs of two types: shape inference lets them pass, and whatever runs the model
refuses it, or reads beyond the end of a tensor.

**Fix.** Look at the two sizes that are named. Where a script edited the weights, edit both; else
export again from the source.

**Limits.** Sizes are compared when both are known, values when they are constants of the file.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target, contradictions


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each relation between operands that does not hold."""
    yield from contradictions(facts)


RULE = Rule(
    id="NPU211",
    name="contradicting-parameter",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "https://onnx.ai/onnx/operators/",
        "onnxruntime, which refuses such a model when it loads it or runs it first",
        "https://github.com/pytorch/pytorch/issues/166797",
    ),
    check=check,
    examples=(
        Example(
            title="a bias that is too short",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float[4, 3, 1, 1] w, float[1] b> { y = Conv (x, w, b) }
            """,
            messages=("bias 'b' has 1 element, the weight makes 4 output channels",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float[4, 3, 1, 1] w, float[4] b> { y = Conv (x, w, b) }
            """,
        ),
    ),
)
