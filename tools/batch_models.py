"""Write random networks on a batch, many of which mix its samples: food for tools/fuzz_repairs.py.

A network is a chain on N images. Some steps work on each image alone, and some look like those and
do not: statistics over the batch, samples in another order, axes that are aligned with the wrong
ones, branches and loops that read all samples from outside. Sizes of other axes are often N, too.
``quantized_form`` gives a network its QDQ form.
"""

from __future__ import annotations

import onnx
from batch_steps import PER_SAMPLE, Batch, conv
from mixing_steps import MIXING
from onnx import ModelProto


def network(seed: int, *, mixing: bool | None = None) -> ModelProto:
    """Return a network on a batch.

    Args:
        seed: the same gives the same network.
        mixing: whether a step of it mixes the samples; None for half of them.
    """
    p = Batch(seed)
    side = p.size(4, 6)
    start = [p.samples, p.size(1, 4), side, side]
    p.shapes["x"] = start
    value = "x"
    mixes = p.chance(0.5) if mixing is None else mixing
    count = p.pick(2, 5)
    at = p.pick(0, count - 1) if mixes else -1
    for step in range(count):
        if step == at:
            value = MIXING[p.pick(0, len(MIXING) - 1)](p, value)
        value = PER_SAMPLE[p.pick(0, len(PER_SAMPLE) - 1)](p, value)
        if p.chance(0.6):
            value = conv(p, value)
    if "Conv" not in {node.op_type for node in p.nodes}:
        value = conv(p, value)
    end = _ends(p, value)
    onnx.checker.check_model(model := p.model(start, end), full_check=True)
    return model


def _ends(p: Batch, value: str) -> str:
    dims = p.shapes[value]
    if p.chance(0.4):
        return p.add("Identity", [value], dims)
    pooled = p.add("GlobalAveragePool", [value], [*dims[:2], 1, 1])
    flat = p.reshape(pooled, [dims[0], dims[1]])
    return p.add("MatMul", [flat, p.weights(dims[1], 3)], [dims[0], 3]) if p.chance(0.5) else flat
