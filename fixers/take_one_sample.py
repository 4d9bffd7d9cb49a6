"""Let a network that takes several samples at once take one.

The program that calls the network then calls it once for each sample:

    f(x)[n] = f'(x[n : n + 1])  for each n < N

**Keeps.** What the network computes for each sample: the proof compares them one by one.

**Declines.** When a node that reads the samples is not on the list of operators that are known to
work on each sample by itself, or works across them: along the leading axis, or in a broadcast that
puts the samples of one operand beside something else of the other. A recurrent node, a loop, a
branch and an operator of another domain are not on the list.
"""

from __future__ import annotations

from onnx import ModelProto

from npugate.api import (
    Applied,
    Declined,
    InterfaceChange,
    Repair,
    RepairOptions,
    RepairResult,
    Skipped,
    Target,
)
from npugate.surgery import rebatch
from npugate.surgery.node import NoFormError
from npugate.surgery.shapes import InferenceRefusedError, Known, known_of


def apply(model: ModelProto, target: Target, options: RepairOptions) -> RepairResult:
    """Rewrite the model in place."""
    limit = target.limit("batch_max")
    samples = rebatch.samples_of(model)
    if limit is None or samples <= limit.value:
        return Skipped("the inputs take one sample")
    graph = model.graph
    before = known_of((*graph.input, *graph.output))
    try:
        edits = rebatch.take_one(model, samples, options.store)
    except (NoFormError, InferenceRefusedError) as error:
        return Declined(f"{error}; export the model with a batch of 1")
    after = known_of((*graph.input, *graph.output))
    changes = [
        InterfaceChange(name, _text(before[name]), _text(item))
        for name, item in after.items()
        if item.shape != before[name].shape
    ]
    return Applied(tuple(edits), tuple(changes), samples)


def _text(known: Known) -> str:
    return str(list(known.shape or ()))


REPAIR = Repair(
    name="take-one-sample",
    doc=__doc__,
    edit_message=apply,
    after=("make-legal", "inline-functions", "set-static-shapes", "fold-constants"),
    needs=("make-legal", "inline-functions", "set-static-shapes", "fold-constants"),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[4, 3, 8, 8] x) => (float[4, 4] y)
        <float[4, 3, 3, 3] w, int64[2] flat = {4, 4}>
        { c = Conv (x, w)  g = GlobalAveragePool (c)  y = Reshape (g, flat) }
    """,
)
