"""Find the layers that run on more than one sample, and the nodes that connect them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct

from npugate.operators import CONVERSIONS, LAYERS, OTHER_LAYERS, RESHAPES, WEIGHTED
from npugate.surgery.draft import Draft
from npugate.surgery.node import Dims, Node, Value

UNARY: Final = frozenset(
    {
        "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil",
        "Celu", "Clip", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid",
        "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not",
        "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh",
        "Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu",
    }
)  # fmt: skip
ELEMENTWISE: Final = frozenset(
    {
        "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal",
        "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul",
        "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor",
    }
)  # fmt: skip
_BY_AXIS: Final[Mapping[str, int]] = {
    "Softmax": -1,
    "LogSoftmax": -1,
    "Hardmax": -1,
    "LpNormalization": -1,
    "LayerNormalization": -1,
}
_AXIS_BEFORE_13: Final = 1
_NO_FORM: Final = frozenset(name.rpartition(".")[2] for name in OTHER_LAYERS)
_TWO: Final = WEIGHTED | CONVERSIONS
"""Operators that are no operators without a second input."""


class Region(Struct, frozen=True):
    """Layers on one batch, with every node that connects them sample by sample.

    Attributes:
        samples: N, the size of the leading axis.
        nodes: in the order of the model, the layers among them.
        layers: the ones that run on more than one sample.
        batched: id of a node -> positions of the inputs that hold one row a sample.
    """

    samples: int
    nodes: tuple[Node, ...]
    layers: tuple[Node, ...]
    batched: Mapping[int, tuple[int, ...]]

    @property
    def label(self) -> str:
        """The name of the first layer."""
        return self.layers[0].label


def samples_of(draft: Draft, node: Node) -> int:
    """Return the number of samples that a layer runs on; 1 for any other node."""
    dims = draft.maybe_dims(node.inputs[0]) if node.is_a(*LAYERS) and node.inputs else None
    return dims[0] if dims else 1


def without_form(draft: Draft) -> Node | None:
    """Return the first layer on several samples whose operator no form is written for."""
    for node in draft.nodes:
        if node.op in _NO_FORM and node.input(0) is not None:
            dims = draft.maybe_dims(node.inputs[0])
            if dims and dims[0] > 1:
                return node
    return None


def find(draft: Draft) -> list[Region]:
    """Return the regions of a model, in the order of their first nodes."""
    batched: dict[int, tuple[int, ...]] = {}
    home: dict[int, list[Node]] = {}
    by_value: dict[str, list[Node]] = {}
    for node in draft.nodes:
        positions = batched_inputs(draft, node)
        if positions is None:
            continue
        batched[id(node)] = positions
        group = home[id(node)] = [node]
        for value in (*(node.inputs[at] for at in positions), node.outputs[0]):
            group = _join(home, group, by_value.setdefault(value.name, group))
            by_value[value.name] = group
    rank = {id(node): index for index, node in enumerate(draft.nodes)}
    groups = {id(group): group for group in home.values()}
    found = [_region(draft, sorted(g, key=lambda n: rank[id(n)]), batched) for g in groups.values()]
    return sorted((r for r in found if r.layers), key=lambda r: rank[id(r.nodes[0])])


def _join(home: dict[int, list[Node]], left: list[Node], right: list[Node]) -> list[Node]:
    """Merge two groups into the larger one; a stale list may still name a merged group."""
    left, right = home[id(left[0])], home[id(right[0])]
    if left is right:
        return left
    large, small = (left, right) if len(left) >= len(right) else (right, left)
    large += small
    home.update((id(node), large) for node in small)
    return large


def _region(draft: Draft, nodes: list[Node], batched: Mapping[int, tuple[int, ...]]) -> Region:
    layers = tuple(node for node in nodes if samples_of(draft, node) > 1)
    samples = draft.dims(nodes[0].outputs[0])[0]
    own = {id(node): batched[id(node)] for node in nodes}
    return Region(samples, tuple(nodes), layers, own)


def batched_inputs(draft: Draft, node: Node) -> tuple[int, ...] | None:
    """Return which inputs of a node hold one row a sample; None when it mixes the samples.

    A node qualifies when row i of its output depends on row i of these inputs alone, and the
    leading axis has more than one row.
    """
    if not _is_plain(node):
        return None
    made = draft.maybe_dims(node.outputs[0])
    if not made or made[0] <= 1:
        return None
    if node.op in ELEMENTWISE or node.op == "Concat":
        return _operands(draft, node, made)
    data = draft.maybe_dims(node.inputs[0])
    if not data or data[0] != made[0] or draft.array(node.inputs[0]) is not None:
        return None
    test = _test_of(node)
    return (0,) if test is not None and test(draft, node, data) else None


def _is_plain(node: Node) -> bool:
    """Tell whether a node has one output, and the inputs without which it is none."""
    if not node.is_standard or len(node.used_outputs()) != 1 or not node.outputs[0].name:
        return False
    return node.input(0) is not None and (node.op not in _TWO or node.input(1) is not None)


def _operands(draft: Draft, node: Node, made: Dims) -> tuple[int, ...] | None:
    positions: list[int] = []
    for at, value in enumerate(node.inputs):
        dims = draft.maybe_dims(value)
        if dims is None:
            return None
        if len(dims) == len(made) and dims[0] == made[0]:
            positions.append(at)
        elif node.op == "Concat" or (len(dims) == len(made) and dims[0] != 1):
            return None
    if node.op == "Concat" and node.integer("axis", 0) % len(made) == 0:
        return None
    moving = any(draft.array(node.inputs[at]) is None for at in positions)
    return tuple(positions) if moving else None


Test = Callable[[Draft, Node, Dims], bool]


def _test_of(node: Node) -> Test | None:
    op_type = str(node.op)
    if op_type in LAYERS | UNARY:
        return _always
    if op_type in RESHAPES:
        return _view
    if op_type in _BY_AXIS:
        return _axis
    if op_type.startswith("Reduce"):
        return _reduction
    return _TESTS.get(op_type)


def _always(draft: Draft, node: Node, data: Dims) -> bool:
    return all(draft.maybe_dims(value) is not None for value in node.inputs if value.name)


def _view(draft: Draft, node: Node, data: Dims) -> bool:
    target = node.input(1)
    return target is None or draft.array(target) is not None


def _axis(draft: Draft, node: Node, data: Dims) -> bool:
    old = draft.opset < 13 and node.op in {"Softmax", "LogSoftmax", "Hardmax"}  # noqa: PLR2004 - opset
    default = _AXIS_BEFORE_13 if old else _BY_AXIS[node.op]
    return node.integer("axis", default) % len(data) != 0


def _reduction(draft: Draft, node: Node, data: Dims) -> bool:
    axes = node.integers("axes") or draft.ints(node.input(1))
    return bool(axes) and all(axis % len(data) for axis in axes or ())


def _pad(draft: Draft, node: Node, data: Dims) -> bool:
    pads = pads_by_axis(draft, node, len(data))
    return pads is not None and pads.get(0, (0, 0)) == (0, 0)


def pads_by_axis(draft: Draft, node: Node, rank: int) -> dict[int, tuple[int, int]] | None:
    """Return what a Pad adds before and behind each axis; None when that is not constant."""
    pads = node.integers("pads") or draft.ints(node.input(1))
    axes = list(range(rank)) if node.input(3) is None else draft.ints(node.input(3))
    if pads is None or axes is None or len(pads) != 2 * len(axes):
        return None
    half = len(axes)
    return {axis % rank: (pads[i], pads[i + half]) for i, axis in enumerate(axes)}


def _normalization(draft: Draft, node: Node, data: Dims) -> bool:
    return not node.integer("training_mode", 0) and node.integer("spatial", 1) == 1


def _resize(draft: Draft, node: Node, data: Dims) -> bool:
    if node.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return False
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        return False
    axes = node.integers("axes")
    if axes is not None:
        return all(axis % len(data) > 1 for axis in axes)
    return draft.dims(node.outputs[0])[:2] == data[:2] and _scales_are_one(draft, node)


def _scales_are_one(draft: Draft, node: Node) -> bool:
    """Tell whether samples and channels keep their scale."""
    at = 1 if node.op == "Upsample" or draft.opset < 11 else 2  # noqa: PLR2004 - opset
    if node.input(3) is not None and node.op == "Resize":
        return draft.ints(node.input(3)) is not None
    scales = draft.array(node.input(at))
    given = node.attrs.get("scales") if scales is None else scales.tolist()
    return given is not None and [float(scale) for scale in given[:2]] == [1.0, 1.0]


def _gemm(draft: Draft, node: Node, data: Dims) -> bool:
    bias = node.input(2)
    dims = () if bias is None else draft.maybe_dims(bias)
    shared = dims is not None and (len(dims) <= 1 or dims[0] == 1)
    return not node.integer("transA", 0) and shared


def _matmul(draft: Draft, node: Node, data: Dims) -> bool:
    return draft.rank(node.inputs[1]) == 2 and len(data) >= 2  # noqa: PLR2004 - a matrix


def _transpose(draft: Draft, node: Node, data: Dims) -> bool:
    perm = node.integers("perm")
    return perm is not None and perm[0] == 0


def _slice(draft: Draft, node: Node, data: Dims) -> bool:
    axes = node.integers("axes")
    if axes is None and node.input(3) is not None:
        axes = draft.ints(node.input(3))
    return axes is not None and all(axis % len(data) for axis in axes)


def _linear(draft: Draft, node: Node, data: Dims) -> bool:
    scale = draft.maybe_dims(node.inputs[1])
    if scale is None or node.integer("block_size", 0):
        return False
    return not scale or scale == (1,) or node.integer("axis", 1) % len(data) != 0


_TESTS: Final[Mapping[str, Test]] = {
    "BatchNormalization": _normalization,
    "InstanceNormalization": _normalization,
    "GroupNormalization": _always,
    "LRN": _always,
    "DepthToSpace": _always,
    "SpaceToDepth": _always,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Transpose": _transpose,
    "Slice": _slice,
    "QuantizeLinear": _linear,
    "DequantizeLinear": _linear,
}


def connected(draft: Draft, seeds: Iterable[Node], others: Mapping[int, Node]) -> set[int]:
    """Return the ids of the seeds and of all others that touch them through a chain of others."""
    reached = {id(node) for node in seeds}
    waiting = list(seeds)
    while waiting:
        node = waiting.pop()
        for near in _neighbours(draft, node):
            if id(near) not in reached and id(near) in others:
                reached.add(id(near))
                waiting.append(near)
    return reached


def _neighbours(draft: Draft, node: Node) -> list[Node]:
    makers = [draft.producer(value) for value in node.inputs]
    readers = [reader for value in node.outputs for reader in draft.consumers(value)]
    return [maker for maker in makers if maker is not None] + readers


def is_read_outside(draft: Draft, value: Value, reads: Callable[[Node, int], bool]) -> bool:
    """Tell whether a value must exist as it was: it is kept, or a read of it is not covered."""
    return draft.is_kept(value) or any(
        item is value and not reads(node, at)
        for node in draft.consumers(value)
        for at, item in enumerate(node.inputs)
    )
