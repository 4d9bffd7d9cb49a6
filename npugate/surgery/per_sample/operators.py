"""The list of operators that are known to work on each sample by itself.

An operator that is not here is refused, whatever it may do: DynamicQuantizeLinear looks like one
that works element by element, and takes its scale from all samples together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct
from onnx import NodeProto

from npugate.facts.control import RANDOM
from npugate.operators import CONVERSIONS, RESIZES
from npugate.surgery.batch.regions import ELEMENTWISE, UNARY
from npugate.surgery.node import DEFAULT_DOMAINS, NoFormError
from npugate.surgery.per_sample import axes, operands, views
from npugate.surgery.per_sample.rows import Rows, has
from npugate.surgery.scope import bodies_of, captured_in

_TRAINING: Final = 2  # input of Dropout that switches it on
Check = Callable[[Rows, NodeProto], bool]
"""Refuses a node that does not work on each sample by itself; divides what is baked into it, and
returns True when something was."""


class Form(Struct, frozen=True):
    """Under what conditions an operator works on each sample by itself.

    Attributes:
        check: looks at the axes.
        reads: positions of the inputs that may have the samples in front; None for all.
        outputs: how many outputs are known to have them in front; None for all.
    """

    check: Check
    reads: tuple[int, ...] | None = (0,)
    outputs: int | None = 1


def change(rows: Rows, node: NodeProto) -> bool:
    """Write a node that reads samples anew for one of them; return True when anything changed.

    Raises:
        NoFormError: it is not known to work on each sample by itself.
    """
    label = f"{node.op_type} {node.name!r}"
    if node.domain not in DEFAULT_DOMAINS or any(True for _ in bodies_of(node)):
        raise NoFormError(f"{label} is not followed")
    form = _FORMS.get(node.op_type)
    if form is None:
        raise NoFormError(f"{label} is not known to work on each sample by itself")
    for position, name in enumerate(node.input):
        if name in rows.followed and form.reads is not None and position not in form.reads:
            raise NoFormError(f"{label} reads the samples as its input {position}")
    if form.outputs is not None and any(node.output[form.outputs :]):
        raise NoFormError(f"{label} has outputs that count across the samples")
    return form.check(rows, node)


def reads_samples(rows: Rows, node: NodeProto) -> bool:
    """Tell whether a node, or a body in it, reads a tensor with the samples in front."""
    return any(name in rows.followed for name in node.input) or any(
        name in rows.followed for name in captured_in(node)
    )


def refuse_random(rows: Rows, node: NodeProto) -> None:
    """Refuse a node, or a body in it, whose result hangs on how often it is asked.

    It need not read a sample: a number drawn once for all samples would be drawn for each.
    """
    if _draws(rows, node):
        raise NoFormError(f"{node.op_type} {node.name!r} draws random numbers")
    for body in bodies_of(node):
        for inner in body.node:
            refuse_random(rows, inner)


def _draws(rows: Rows, node: NodeProto) -> bool:
    if node.op_type == "Dropout" and has(node, _TRAINING):
        training = rows.array(node.input[_TRAINING])
        return training is None or bool(training)
    return node.op_type in RANDOM and node.op_type != "Dropout"


def _always(_rows: Rows, _node: NodeProto) -> bool:
    """Take an operator as it is: the leading axis is its batch, or it works on single elements."""
    return False


def _table(entries: Iterable[tuple[Iterable[str], Form]]) -> dict[str, Form]:
    return {name: form for names, form in entries for name in names}


_REDUCTIONS: Final = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"),
    *("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"),
)
_LAYERS: Final = (
    *("AveragePool", "Conv", "ConvInteger", "ConvTranspose", "GlobalAveragePool", "GlobalLpPool"),
    *("GlobalMaxPool", "LpPool", "MaxPool", "QLinearConv"),
    *("DepthToSpace", "GroupNormalization", "InstanceNormalization", "LRN", "SpaceToDepth"),
)
_FORMS: Final[Mapping[str, Form]] = _table(
    [
        (UNARY - {"Gelu"}, Form(_always)),
        (("Gelu", "CastLike", "BitCast", "Swish"), Form(_always)),
        (("Dropout",), Form(_always, outputs=2)),
        (_LAYERS, Form(_always)),
        (ELEMENTWISE - {"PRelu"}, Form(operands.aligned, None)),
        (("PRelu",), Form(operands.slope, None)),
        (("MatMul",), Form(operands.matmul, (0, 1))),
        (("MatMulInteger",), Form(operands.matmul, (0, 1))),
        (("Gemm",), Form(operands.gemm, (0, 2))),
        (("Einsum",), Form(operands.einsum, None)),
        (("ArgMax", "ArgMin", "LpNormalization"), Form(axes.along)),
        (("TopK",), Form(axes.along, outputs=2)),
        (("LayerNormalization",), Form(axes.normalized, outputs=None)),
        (("RMSNormalization",), Form(axes.normalized)),
        (("Softmax", "LogSoftmax", "Hardmax"), Form(axes.softmax)),
        (_REDUCTIONS, Form(axes.reduced)),
        (("MeanVarianceNormalization",), Form(axes.variance)),
        (("CumSum",), Form(axes.summed)),
        (tuple(CONVERSIONS), Form(axes.linear)),
        (("BatchNormalization",), Form(axes.batch_normalization)),
        (tuple(RESIZES), Form(axes.resized)),
        (("Trilu",), Form(axes.triangle)),
        (("Reshape",), Form(views.reshaped)),
        (("Expand",), Form(views.expanded)),
        (("Flatten",), Form(views.flattened)),
        (("Squeeze",), Form(views.squeezed)),
        (("Unsqueeze",), Form(views.unsqueezed)),
        (("Transpose",), Form(views.transposed)),
        (("Slice",), Form(views.sliced)),
        (("Pad",), Form(views.padded)),
        (("Gather",), Form(views.gathered, (0, 1))),
        (("GatherElements", "ScatterElements"), Form(views.gathered_elements, None)),
        (("GatherND",), Form(views.gathered_nd, (0, 1))),
        (("Concat",), Form(views.joined, None)),
        (("Split",), Form(views.parted, outputs=None)),
        (("Tile",), Form(views.tiled)),
        (("OneHot",), Form(views.encoded)),
        (("GridSample",), Form(views.sampled, (0, 1))),
    ]
)
