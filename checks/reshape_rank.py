"""A Reshape goes to, or an Unsqueeze or Expand makes, more axes than the compiler takes.

**Why.** This is the pattern behind `INTERNAL ERROR: 'NoneType' object has no attribute
'get_value'`: a view with six axes that the next one folds into a batch again.

**Fix.** Do not delete the Reshape: that changes what the network computes. Write the view with
fewer axes, for example with the samples folded into the channels.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target, Tensor

_MAKERS = ("Reshape", "Unsqueeze", "Expand")


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each node that raises the rank above the limit."""
    limit = target.limit("rank_max")
    if limit is None:
        return
    for node in facts.nodes_of(*_MAKERS):
        made, source = node.output(), node.input(0)
        if made is None or made.is_constant or made.rank is None or made.rank <= limit.value:
            continue
        text = f"{node.op_type} to rank {made.rank}, the limit is {limit.value}: "
        yield node.hit(f"{text}{_dims(source)} -> {_dims(made)}", severity=limit.severity)


def _dims(tensor: Tensor | None) -> str:
    if tensor is None or tensor.shape is None:
        return "[?]"
    return f"[{', '.join('?' if dim is None else str(dim) for dim in tensor.shape)}]"


RULE = Rule(
    id="NPU106",
    name="reshape-rank",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("the deployment guide behind this project: 6-D tensors are not allowed",),
    check=check,
    repair="lower-rank",
    examples=(
        Example(
            title="from four axes to six and back",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8, 4, 4] x) => (float[1, 32, 4] y)
                <int64[6] six = {1, 2, 2, 2, 4, 4}, int64[3] three = {1, 32, 4}>
                { h = Reshape (x, six)  y = Reshape (h, three) }
            """,
            messages=("Reshape to rank 6, the limit is 5: [1, 8, 4, 4] -> [1, 2, 2, 2, 4, 4]",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8, 4, 4] x) => (float[1, 32, 4] y)
                <int64[3] three = {1, 32, 4}> { y = Reshape (x, three) }
            """,
        ),
    ),
)
