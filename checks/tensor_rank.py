"""A tensor has more axes than the compiler takes.

**Why.** The accelerator works on at most four axes, and the compiler fails or crashes on tensors
above its limit. Exporters make six axes from `x.view(b, t, roi, c, h, w)` and from window
attention.

**Fix.** Merge axes that stay together in the `view`, and permute in steps of fewer axes. A 6-D view
in front of a convolution is a grouped convolution on the merged channels.

**Limits.** Values that are computed from constants alone count only where a node that runs reads
them, since they disappear when the model is imported.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import CONVERSIONS, Example, Facts, Hit, Limit, Rule, Severity, Target, Tensor


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each tensor above the limit once, at the node that makes it."""
    for tensor in facts.tensors:
        rank = tensor.rank
        if rank is None or not _runs(tensor) or _is_copy(tensor):
            continue
        for name in ("rank_max", "rank_advised"):
            limit = target.limit(name)
            if limit is not None and rank > limit.value:
                yield tensor.hit(_message(tensor, rank, limit), limit.severity)
                break


def _runs(tensor: Tensor) -> bool:
    """Tell whether the tensor exists when the network runs."""
    if not tensor.is_constant:
        return True
    return any(
        any(made is not None and not made.is_constant for made in node.outputs)
        for node in tensor.consumers
    )


def _is_copy(tensor: Tensor) -> bool:
    """Tell whether it is only the quantised form of a tensor that is checked already."""
    node = tensor.producer
    if node is None or node.op_type not in CONVERSIONS:
        return False
    source = node.input(0)
    return source is not None and source.rank == tensor.rank and not source.is_constant


def _message(tensor: Tensor, rank: int, limit: Limit) -> str:
    kind = {"input": "input", "initializer": "initializer"}.get(tensor.kind, "tensor")
    dims = ", ".join("?" if dim is None else str(dim) for dim in tensor.shape or ())
    what = "the limit is" if limit.name == "rank_max" else "advised is at most"
    return f"{kind} {tensor.name!r} has rank {rank}, {what} {limit.value}: [{dims}]"


RULE = Rule(
    id="NPU101",
    name="tensor-rank",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "ST engineers' answer quoted in the deployment guide behind this project: max rank 5",
        "ST Edge AI Core 2.1, supported_ops_onnx.html: tensors of at most 6 dimensions",
        "LarocheC/stm32n6-deployment-zoo: rank 5 inside the graph crashes Core 4.0.1",
    ),
    check=check,
    repair="lower-rank",
    examples=(
        Example(
            title="a six-axis view",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8, 4, 4] x) => (float[1, 32, 4] y)
                <int64[6] six = {1, 2, 2, 2, 4, 4}, int64[3] three = {1, 32, 4}>
                { h = Reshape (x, six)  y = Reshape (h, three) }
            """,
            messages=("tensor 'h' has rank 6, the limit is 5: [1, 2, 2, 2, 4, 4]",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8, 4, 4] x) => (float[1, 32, 4] y)
                <int64[3] three = {1, 32, 4}> { y = Reshape (x, three) }
            """,
        ),
        Example(
            title="its quantised forms are the same tensor, and are not named again",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8, 4, 4] x) => (float[1, 32, 4] y)
                <int64[6] six = {1, 2, 2, 2, 4, 4}, int64[3] three = {1, 32, 4},
                 float s = {0.5}, int8 z = {0}>
                { h = Reshape (x, six)
                  q = QuantizeLinear (h, s, z)
                  d = DequantizeLinear (q, s, z)
                  y = Reshape (d, three) }
            """,
            messages=("tensor 'h' has rank 6, the limit is 5: [1, 2, 2, 2, 4, 4]",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8, 4, 4] x) => (float[1, 32, 4] y)
                <int64[3] three = {1, 32, 4}> { y = Reshape (x, three) }
            """,
        ),
    ),
)
