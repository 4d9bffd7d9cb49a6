"""A tensor's data does not fit its type and dimensions.

**Why.** A weight with fewer bytes than its dimensions call for makes readers run beyond its end;
one with both `raw_data` and typed data is read differently from tool to tool, so the model that is
checked is not the one that is compiled. onnx's own checker let such files pass up to 1.22.

**Fix.** Export the model again. In a script that edits tensors, make them with
`onnx.numpy_helper.from_array`, which keeps type, dimensions and data together.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what the reader of the file has found."""
    for problem in facts.problems("tensor-data-mismatch"):
        yield Hit(problem.location, problem.message, frames=problem.frames, subject=problem.subject)


def _shorten(model: object) -> None:
    if not isinstance(model, ModelProto):
        raise TypeError(type(model))
    weight = model.graph.initializer[0]
    weight.ClearField("float_data")
    weight.raw_data = bytes(12)


RULE = Rule(
    id="NPU017",
    name="tensor-data-mismatch",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "https://github.com/onnx/onnx/issues/8319",
        "https://github.com/onnx/onnx/issues/7822",
        "https://github.com/onnx/onnx/blob/main/onnx/onnx.proto",
    ),
    check=check,
    examples=(
        Example(
            title="a weight with a value too few",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y)
                <float[4] w = {1, 2, 3, 4}> { y = Mul (x, w) }
            """,
            messages=("tensor 'w': its dimensions [4] call for 16 bytes and raw_data has 12",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }
            """,
            edit=_shorten,
        ),
    ),
)
