"""A model that git tracks takes its weights from a file that git does not track.

**Why.** Whoever may propose a change may name any file in the model. What git tracks is theirs to
name; what else lies in the checkout, a key that a job has put there, or its log, is not, and a
repaired copy would carry it into the artifact. So the file is not read, and nothing is known of the
weights: whether they are there, whole and the ones that were reviewed.

**Fix.** Commit the weights beside the model, through Git LFS when they are large. Where a job
fetches or builds them (DVC, a download), name the models under `allow-untracked-weights` in the
configuration of the base branch: `allow-untracked-weights = ["models/**"]`.

**Limits.** Without git nothing is known of what it tracks, and each plain file below the model's
folder may be named. The same holds for a model that git does not track.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onnx import TensorProto, parser

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what the reader of the file has found."""
    for problem in facts.problems("untracked-external-data"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


def _fetched(folder: object) -> object:
    path = Path(str(folder), "net.onnx")
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 14]>'
        "net (float[1, 4] x) => (float[1, 4] y) { y = Mul (x, w) }"
    )
    weight = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="net.onnx.data")
    path.write_bytes(model.SerializeToString())
    path.with_name("net.onnx.data").write_bytes(bytes(16))
    return path


RULE = Rule(
    id="NPU019",
    name="untracked-external-data",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "CVE-2022-25882",
        "https://onnx.ai/onnx/repo-docs/ExternalData.html",
        "https://git-scm.com/docs/git-ls-files",
    ),
    check=check,
    examples=(
        Example(
            title="a model in git whose weights a job has fetched",
            bad="""A model that git tracks, with `w` in `net.onnx.data`, which it does not.""",
            messages=(
                (
                    "external data of tensor 'w': git does not track 'net.onnx.data', so it is "
                    "not read"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }
            """,
            write=_fetched,
            tracked=("net.onnx",),
        ),
    ),
)
