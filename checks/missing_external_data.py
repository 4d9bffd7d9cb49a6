"""A file with the model's weights is missing or too short.

**Why.** The `.onnx` file names another one for its weights. Without it, or with less in it than the
dimensions call for, the model cannot be converted. Often only the `.onnx` was committed or copied.

**Fix.** Commit the side file beside the model (through Git LFS when it is large), or save the model
in one piece: `onnx.save(onnx.load(path), path)` where the weights are at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onnx import TensorProto, parser

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what the reader of the file has found."""
    for problem in facts.problems("missing-external-data"):
        yield Hit(problem.location, problem.message, frames=problem.frames, subject=problem.subject)


def _alone(folder: object) -> object:
    path = Path(str(folder), "net.onnx")
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 14]>'
        "net (float[1, 4] x) => (float[1, 4] y) { z = Mul (x, w)  y = Add (z, b) }"
    )
    for name in ("w", "b"):
        weight = model.graph.initializer.add(name=name, data_type=TensorProto.FLOAT, dims=[4])
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="net.onnx.data")
    path.write_bytes(model.SerializeToString())
    return path


RULE = Rule(
    id="NPU006",
    name="missing-external-data",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("https://onnx.ai/onnx/repo-docs/ExternalData.html",),
    check=check,
    examples=(
        Example(
            title="a model that was committed without its weights",
            bad="""A model whose weights `w` and `b` are in `net.onnx.data`, which is not there.""",
            messages=(
                (
                    "external data of 2 tensors ('w', 'b'): the file 'net.onnx.data' does not "
                    "exist beside the model"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }
            """,
            write=_alone,
        ),
    ),
)
