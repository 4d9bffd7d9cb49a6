"""Compute what is constant, shape arithmetic included.

    y = f(c1, ..., ck), all constant  =>  y is an initializer

**Keeps.** Every input and output, the metadata of every node that stays, quantised weights behind
their DequantizeLinear, and the file's size: a value that would make it grow by more than 64 KiB
stays computed.

**Declines.** Nothing: what cannot be computed stays as it is. Random operators, operators of other
domains, results above 4 MiB, and loops that stack results or may stop early are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import ModelProto

from npugate.api import Applied, Repair, RepairOptions, RepairResult, Skipped, Target
from npugate.surgery.fold import fold

_NAMED = 3


def apply(model: ModelProto, target: Target, options: RepairOptions) -> RepairResult:
    """Fold the model in place."""
    done = fold(model, options.store)
    if not done:
        return Skipped("nothing in it is constant and computed")
    return Applied(tuple(_sentence(what, names) for what, names in done.items()))


def _sentence(what: str, names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{what}: {shown}{more}"


REPAIR = Repair(
    name="fold-constants",
    doc=__doc__,
    edit_message=apply,
    after=("make-legal", "inline-functions", "set-static-shapes"),
    example="""
        <ir_version: 8, opset_import: ["" : 15]>
        net (float[1, 4, 6] x) => (float[1, 24] y) {
            batch = Shape <start = 0, end = 1> (x)
            rest = Constant <value = int64[1] {-1}> ()
            target = Concat <axis = 0> (batch, rest)
            y = Reshape (x, target)
        }
    """,
)
