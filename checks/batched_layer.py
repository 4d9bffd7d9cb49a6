"""A convolution or pool runs on more than one sample.

**Why.** The accelerator computes one sample at a time: the batch of every layer must be 1. A
network that folds frames, regions or windows into the batch in the middle breaks this with an input
batch of 1.

**Fix.** Fold the samples into the channels instead: a batch of N with C channels is one sample with
N·C channels and a convolution with N times the groups.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import BATCHED, Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each layer whose leading axis is above the limit."""
    limit = target.limit("batch_max")
    if limit is None:
        return
    for node in facts.nodes:
        if node.full_type not in BATCHED:
            continue
        data = node.input(0)
        shape = data.shape if data is not None else None
        if shape and isinstance(shape[0], int) and shape[0] > limit.value:
            dims = ", ".join("?" if dim is None else str(dim) for dim in shape)
            text = (
                f"{node.op_type} runs on {shape[0]} samples, the limit is {limit.value}: [{dims}]"
            )
            yield node.hit(text, severity=limit.severity)


RULE = Rule(
    id="NPU104",
    name="batched-layer",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "ST engineers' answer quoted in the deployment guide behind this project: batch = 1",
        "ST Edge AI Core 2.1, stneuralart_operator_support.html: the batch must be 1",
    ),
    check=check,
    repair="fold-batch",
    examples=(
        Example(
            title="frames folded into the batch",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 24, 8, 8] x) => (float[8, 4, 8, 8] y)
                <int64[4] fold = {8, 3, 8, 8}, float[4, 3, 1, 1] w>
                { h = Reshape (x, fold)  y = Conv (h, w) }
            """,
            messages=("Conv runs on 8 samples, the limit is 1: [8, 3, 8, 8]",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 24, 8, 8] x) => (float[1, 32, 8, 8] y)
                <float[32, 3, 1, 1] w> { y = Conv <group = 8> (x, w) }
            """,
        ),
    ),
)
