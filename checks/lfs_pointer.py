"""The file is a Git LFS pointer, not the model it stands for.

**Why.** A clone or checkout without Git LFS leaves a text file of about 130 bytes in place of each
large file. Nothing of the model is there to be checked. The same goes for a file with external
weights.

**Fix.** In a workflow, check out with `lfs: true`:

    - uses: actions/checkout@v4
      with:
        lfs: true

Elsewhere, run `git lfs install` once and `git lfs pull`. With `lfs: true` already there, the server
may not have the object: push it with `git lfs push --all origin`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from npugate.api import Example, Facts, Hit, Rule, Severity, Target

_OID = "ab" * 32


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what the reader of the file has found."""
    for problem in facts.problems("lfs-pointer"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


def _pointer(folder: object) -> object:
    path = Path(str(folder), "net.onnx")
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{_OID}\nsize 4194304\n"
    path.write_text(text, encoding="ascii")
    return path


RULE = Rule(
    id="NPU004",
    name="lfs-pointer",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md",),
    check=check,
    examples=(
        Example(
            title="a checkout without Git LFS",
            bad="""The pointer that Git LFS leaves in place of a model.""",
            messages=(
                (
                    f"the file is a Git LFS pointer (oid sha256:{_OID}, 4194304 bytes), not the "
                    "file it stands for: check out with `lfs: true`, or run `git lfs pull`"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }
            """,
            write=_pointer,
        ),
    ),
    unreadable=True,
)
