"""The model takes weights from a place that a model file must not name.

**Why.** The location of external data is text from the file. One that is absolute, climbs out of
the folder, or passes through a link makes a loader read any file of the machine, or a repair
overwrite it; onnx refuses such files from 1.21 on. The same goes for keys that the format does not
know and for offsets and lengths that are no numbers.

**Fix.** Save the model again with its weights beside it:
`onnx.save(model, path, save_as_external_data=True, location="net.onnx.data")`. Replace a symbolic
or hard link by a copy of the file.

**Limits.** A hard link is recognised by the link count of the file alone. git makes none in a
checkout; caches and `cp -l` do, and the message then stands although nothing is wrong with the
bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto, TensorProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what the reader of the file has found."""
    for problem in facts.problems("unsafe-external-data"):
        yield Hit(problem.location, problem.message, frames=problem.frames, subject=problem.subject)


def _outside(model: object) -> None:
    if not isinstance(model, ModelProto):
        raise TypeError(type(model))
    weight = model.graph.initializer[0]
    weight.ClearField("float_data")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../weights.bin")


RULE = Rule(
    id="NPU005",
    name="unsafe-external-data",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "CVE-2022-25882",
        "CVE-2024-27318",
        "CVE-2025-51480",
        "CVE-2026-27489",
        "CVE-2026-34445",
        "CVE-2026-34446",
        "https://onnx.ai/onnx/repo-docs/ExternalData.html",
    ),
    check=check,
    examples=(
        Example(
            title="a location that climbs out of the folder",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y)
                <float[4] w = {1, 2, 3, 4}> { y = Mul (x, w) }
            """,
            messages=(
                "external data of tensor 'w': '../weights.bin' leads out of the model's folder",
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }
            """,
            edit=_outside,
        ),
    ),
)
