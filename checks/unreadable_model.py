"""The file cannot be read as an ONNX model.

**Why.** A model that is cut short, was never one, or cannot be opened cannot be checked, and the
conversion to the target would fail on it too. The message says what the file is, where that can be
told, and at which byte it breaks off or goes wrong.

**Fix.** Export, fetch or unpack the model again, as the message says. A file that is meant to be no
model belongs out of the list: give paths, or an `exclude` in the configuration.

**Limits.** protobuf takes much noise for a message; a file counts as a model when it has a graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onnx import parser

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what the reader of the file has found."""
    for problem in facts.problems("unreadable-model"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


def _cut(folder: object) -> object:
    path = Path(str(folder), "net.onnx")
    data = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 14]>'
        "net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }"
    ).SerializeToString()
    path.write_bytes(data[: len(data) // 2])
    return path


def _page(folder: object) -> object:
    path = Path(str(folder), "net.onnx")
    path.write_text("<!DOCTYPE html><html><body>Not found</body></html>", encoding="utf-8")
    return path


RULE = Rule(
    id="NPU001",
    name="unreadable-model",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "https://protobuf.dev/programming-guides/encoding/",
        "https://github.com/onnx/onnx/blob/main/onnx/onnx.proto",
    ),
    check=check,
    examples=(
        Example(
            title="a file that was cut short",
            bad="""A model of which the last half is missing.""",
            messages=(
                (
                    "the file breaks off: at byte 2, a field is longer than what is left, and at "
                    "least 39 bytes are missing; fetch or export the model again"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }
            """,
            write=_cut,
        ),
        Example(
            title="a web page in the model's place",
            bad="""The HTML page of a failed download.""",
            messages=(
                "the file is an HTML or XML page (a failed download?): fetch the model again",
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }
            """,
            write=_page,
        ),
    ),
    unreadable=True,
)
