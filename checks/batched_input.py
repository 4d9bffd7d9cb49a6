"""An input carries more than one sample to a convolution or pool.

**Why.** The accelerator computes one sample at a time; the model must be compiled with a batch of 1
and called once for each sample.

**Fix.** Export with a batch of 1.

**Limits.** An input counts only when its leading axis reaches such a layer as the batch. A
recurrent state or a (time, channel) input has a leading axis of its own meaning and is left alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from npugate.api import BATCHED, Example, Facts, Hit, Node, Rule, Severity, Target, Tensor

# Operators that mix or move axis 0 in a way that the shape alone does not show.
_MIXING = frozenset(
    {"MatMul", "Gemm", "LSTM", "GRU", "RNN", "Scan", "Loop", "If", "Einsum", "Gather", "Slice",
     "Concat", "Shape", "Size"}
)  # fmt: skip


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each input whose leading axis above the limit is the batch of a layer."""
    limit = target.limit("batch_max")
    if limit is None:
        return
    for tensor in facts.main.inputs:
        shape = tensor.shape
        if not shape or not isinstance(shape[0], int) or shape[0] <= limit.value:
            continue
        layer = _reached(tensor, shape[0])
        if layer is not None:
            text = (
                f"input {tensor.name!r} has a batch of {shape[0]}, the limit is {limit.value}; "
                f"it reaches {layer.op_type} {layer.label!r}"
            )
            yield tensor.hit(text, limit.severity, subject="")  # not which layer


def _reached(start: Tensor, batch: int) -> Node | None:
    """Return the first layer that takes axis 0 of a value as its batch."""
    waiting = deque([start])
    seen = {start.name}
    while waiting:
        tensor = waiting.popleft()
        for node in tensor.consumers:
            if node.full_type in BATCHED and node.input(0) is tensor:
                return node
            for made in node.outputs if _keeps_axis_0(node) else ():
                if made is not None and made.name not in seen and _leads(made, batch):
                    seen.add(made.name)
                    waiting.append(made)
    return None


def _leads(tensor: Tensor, batch: int) -> bool:
    return bool(tensor.shape) and tensor.shape is not None and tensor.shape[0] == batch


def _keeps_axis_0(node: Node) -> bool:
    if node.op_type == "Transpose":
        perm = node.ints_attribute("perm")
        return perm is not None and perm[:1] == (0,)
    return node.op_type not in _MIXING and not node.subgraphs


RULE = Rule(
    id="NPU105",
    name="batched-input",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "the deployment guide behind this project: batch = 1",
        "ST Edge AI Core 2.1, stneuralart_operator_support.html: the batch must be 1",
    ),
    check=check,
    repair="take-one-sample",
    examples=(
        Example(
            title="four images at once",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[4, 3, 8, 8] x) => (float[4, 4, 8, 8] y)
                <float[4, 3, 1, 1] w> { h = Relu (x)  y = Conv (h, w) }
            """,
            messages=("input 'x' has a batch of 4, the limit is 1; it reaches Conv 'y'",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float[4, 3, 1, 1] w> { h = Relu (x)  y = Conv (h, w) }
            """,
        ),
        Example(
            title="a batch behind a layout change",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[2, 8, 8, 3] x) => (float[2, 3, 1, 1] y)
                { h = Transpose <perm = [0, 3, 1, 2]> (x)  y = GlobalMaxPool (h) }
            """,
            messages=("input 'x' has a batch of 2, the limit is 1; it reaches GlobalMaxPool 'y'",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[5, 4] state) => (float[5, 4] y) { y = Relu (state) }
            """,
        ),
    ),
)
