"""Stack the samples along the height, with rows of nothing between them: (1, C, N*P, W).

    x'[0, c, n*P + h, w] = x[n, c, h, w] for h < H, 0 for H <= h < P
    y[n, :, h] = conv(x', w)[0, :, n*P/stride + h]  where P >= H + what the window reads beyond it

Every sample gets P rows, of which the first H are its own; the rest keeps a window of one sample
off the next. Before a layer that pads, those rows are set to zero by a mask. The weights stay as
they are. The smallest P that keeps the strides and the paddings of the whole chain is searched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from npugate.surgery.batch.regions import Region
from npugate.surgery.draft import Draft
from npugate.surgery.node import Dims, Node, NoFormError, Value

_MOST_ROWS: Final = 64  # rows between two samples that are tried
_IMAGE: Final = 4  # N, C, H, W
_LEAST_OPSET: Final = 11  # Pad with inputs
_TOTAL: Final = frozenset(
    {
        "Abs", "Ceil", "Celu", "Clip", "Elu", "Erf", "Floor", "Gelu", "HardSigmoid", "HardSwish",
        "Identity", "LeakyRelu", "Neg", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus",
        "Softsign", "Tanh", "ThresholdedRelu",
    }
)  # fmt: skip
"""Functions that are finite everywhere: the rows between must not become infinite or NaN."""
_KEEPS_ZERO: Final = frozenset(
    {
        "Abs", "Ceil", "Celu", "Elu", "Erf", "Floor", "Gelu", "HardSwish", "Identity", "LeakyRelu",
        "Neg", "Relu", "Round", "Selu", "Sign", "Softsign", "Tanh",
    }
)  # fmt: skip


class _PitchError(NoFormError):
    """A pitch that does not suit; another may."""


class Layout(Struct, frozen=True):
    """How a value is stacked.

    Attributes:
        pitch: rows a sample.
        rows: how many of them are its own.
        clean: True when the others are zero.
    """

    pitch: int
    rows: int
    clean: bool


class Window(Struct, frozen=True):
    """The geometry of a layer: kernel rows with dilation, stride, rows padded above and below."""

    kernel: int
    stride: int
    above: int
    below: int
    left: int = 0
    right: int = 0

    @property
    def surplus(self) -> int:
        """Rows to add at the bottom, so that every pitch is complete."""
        return max(self.kernel - self.stride - self.above, 0)


class Plan(Struct, frozen=True):
    """A stacked form.

    Attributes:
        layouts: by name of the value, of each value that a node of the form makes or reads.
        nodes: ids of the nodes that work on stacked samples.
        pitch: rows a sample where the region begins.
        height: rows that are its own there.
    """

    region: Region
    layouts: Mapping[str, Layout]
    nodes: frozenset[int]
    pitch: int
    height: int


def plan(draft: Draft, region: Region) -> Plan:
    """Return the form of a region with the smallest pitch, without changing the draft.

    Raises:
        NoFormError: a layer has no such form, or no pitch suits.
    """
    if draft.opset < _LEAST_OPSET:
        raise NoFormError(f"stacking needs opset {_LEAST_OPSET}, the model has {draft.opset}")
    height = _image(draft, region.layers[0].inputs[0])[2]
    fault: NoFormError | None = None
    for pitch in range(height, height + _MOST_ROWS + 1):
        try:
            return _with_pitch(draft, region, pitch, height)
        except _PitchError as error:
            fault = error
    raise NoFormError(f"no pitch up to {height + _MOST_ROWS} rows suits: {fault}")


def _image(draft: Draft, value: Value) -> Dims:
    dims = draft.dims(value)
    if len(dims) != _IMAGE:
        raise NoFormError(f"{value.name!r} has {len(dims)} dimensions, stacking needs {_IMAGE}")
    return dims


def _with_pitch(draft: Draft, region: Region, pitch: int, height: int) -> Plan:
    layouts: dict[str, Layout] = {}
    nodes: set[int] = set()
    layers = {id(node) for node in region.layers}
    for node in region.nodes:
        # Only what hangs on a layer is worth stacking.
        if id(node) not in layers and not any(v.name in layouts for v in node.inputs):
            continue
        try:
            made = _layout(_Look(draft, region, layouts, Layout(pitch, height, clean=True)), node)
        except NoFormError:
            if id(node) in layers:
                raise
            continue
        layouts[node.outputs[0].name] = made
        nodes.add(id(node))
    return Plan(region, layouts, frozenset(nodes), pitch, height)


class _Look(Struct, frozen=True):
    draft: Draft
    region: Region
    layouts: dict[str, Layout]
    entry: Layout

    def of(self, value: Value) -> Layout:
        """Return the layout of a value; one that comes from outside enters here."""
        dims = _image(self.draft, value)
        if value.name not in self.layouts:
            if dims[2] != self.entry.rows:
                raise NoFormError(
                    f"{value.name!r} enters with {dims[2]} rows, the stack has {self.entry.rows}"
                )
            if self.draft.array(value) is not None:
                raise NoFormError(f"{value.name!r} is a constant for each sample")
            self.layouts[value.name] = self.entry
        return self.layouts[value.name]


def _layout(look: _Look, node: Node) -> Layout:
    """Return the layout of a node's output."""
    _image(look.draft, node.outputs[0])
    make = _LAYOUTS.get(str(node.op), _total if node.op in _TOTAL else None)
    if make is None:
        raise NoFormError(f"{node.op} {node.label!r} cannot work on stacked samples")
    return make(look, node)


def _global_pool(look: _Look, node: Node) -> Layout:
    look.of(node.inputs[0])
    return Layout(1, 1, clean=True)


def _concat(look: _Look, node: Node) -> Layout:
    if node.integer("axis", 0) % _IMAGE != 1:
        raise NoFormError(f"Concat {node.label!r} joins rows or columns")
    return _same(look, node, [look.of(value) for value in node.inputs])


def _linear(look: _Look, node: Node) -> Layout:
    if look.draft.dims(node.inputs[1]) not in {(), (1,)}:
        raise NoFormError(f"{node.op} {node.label!r} has a scale for each channel")
    return _dirty(look, node)


def _dirty(look: _Look, node: Node) -> Layout:
    return replace(look.of(node.inputs[0]), clean=False)


def _total(look: _Look, node: Node) -> Layout:
    layout = look.of(node.inputs[0])
    return replace(layout, clean=layout.clean and node.op in _KEEPS_ZERO)


def _same(look: _Look, node: Node, layouts: list[Layout]) -> Layout:
    if len({(layout.pitch, layout.rows) for layout in layouts}) != 1:
        raise NoFormError(f"the operands of {node.op} {node.label!r} are stacked differently")
    return replace(layouts[0], clean=all(layout.clean for layout in layouts))


def _elementwise(look: _Look, node: Node) -> Layout:
    draft = look.draft
    batched = look.region.batched[id(node)]
    for position, value in enumerate(node.inputs):
        dims = draft.dims(value)
        if position in batched:
            if dims[2:] != draft.dims(node.outputs[0])[2:]:
                raise NoFormError(f"{node.op} {node.label!r} has a gate for each sample")
        elif len(dims) > 1 and dims[-2] != 1:
            raise NoFormError(f"{node.op} {node.label!r} has a constant that varies with the row")
    layout = _same(look, node, [look.of(node.inputs[position]) for position in batched])
    keeps = len(batched) > 1 or node.op in {"Mul", "PRelu"}
    return replace(layout, clean=layout.clean and keeps)


def _windowed(look: _Look, node: Node) -> Layout:
    layout = look.of(node.inputs[0])
    window = window_of(look.draft, node)
    if node.op == "Conv":
        if look.draft.array(node.inputs[1]) is None and not _is_weight(look, node.inputs[1]):
            raise NoFormError(f"the weights of {node.label!r} are not constant")
    else:
        _refuse_pool(look.draft, node, window)
    if layout.pitch % window.stride:
        raise _PitchError(f"the stride of {node.label!r} is {window.stride}")
    if layout.pitch - layout.rows < max(window.above, window.below):
        raise _PitchError(f"{node.label!r} pads {max(window.above, window.below)} rows")
    pitch = layout.pitch // window.stride
    rows = (layout.rows + window.above + window.below - window.kernel) // window.stride + 1
    made = look.draft.dims(node.outputs[0])[2]
    total = total_rows(layout, window, look.region.samples)
    if rows != made or rows > pitch or total < pitch * look.region.samples:
        raise _PitchError(f"{node.label!r} makes {made} rows")
    return Layout(pitch, rows, clean=False)


def _is_weight(look: _Look, value: Value) -> bool:
    maker = look.draft.producer(value)
    return maker is not None and maker.is_a("DequantizeLinear", "Identity")


def total_rows(layout: Layout, window: Window, samples: int) -> int:
    """Return the rows that a layer makes of the whole stack."""
    high = samples * layout.pitch + window.above + window.surplus
    return (high - window.kernel) // window.stride + 1


def window_of(draft: Draft, node: Node) -> Window:
    """Return the geometry of a layer.

    Raises:
        NoFormError: a padding is negative.
    """
    kernel = node.integers("kernel_shape") or list(draft.dims(node.inputs[1])[2:])
    stride = node.integers("strides") or [1, 1]
    dilation = node.integers("dilations") or [1, 1]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pads = _pads(draft, node, reach, stride)
    if min(pads) < 0:
        raise NoFormError(f"{node.op} {node.label!r} pads by a negative number")
    return Window(reach[0], stride[0], pads[0], pads[2], pads[1], pads[3])


def _pads(draft: Draft, node: Node, reach: Sequence[int], stride: Sequence[int]) -> list[int]:
    """Return the paddings above, left, below and right, as numbers."""
    mode = node.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return node.integers("pads") or [0, 0, 0, 0]
    if mode == "VALID":
        return [0, 0, 0, 0]
    before, behind = [], []
    for size, window, step in zip(draft.dims(node.inputs[0])[2:], reach, stride, strict=True):
        total = max((-(-size // step) - 1) * step + window - size, 0)
        small, large = total // 2, total - total // 2
        before.append(small if mode == "SAME_UPPER" else large)
        behind.append(large if mode == "SAME_UPPER" else small)
    return [*before, *behind]


def _refuse_pool(draft: Draft, node: Node, window: Window) -> None:
    named = f"{node.op} {node.label!r}"
    if node.integer("ceil_mode", 0) or any(d != 1 for d in node.integers("dilations") or ()):
        raise NoFormError(f"{named} rounds up or is dilated")
    if max(window.above, window.surplus) >= window.kernel:
        raise _PitchError(f"{named} pads more than its window")
    if not window.above and not window.below:
        return
    if node.op == "AveragePool" and not node.integer("count_include_pad", 0):
        raise NoFormError(f"{named} does not count its padding")
    if node.op == "MaxPool" and not _is_positive(draft, node.inputs[0]):
        raise NoFormError(f"{named} pads what may be negative")


def _is_positive(draft: Draft, value: Value) -> bool:
    maker = draft.producer(value)
    if maker is None:
        return False
    if maker.is_a("Relu", "Sigmoid"):
        return True
    low = draft.array(maker.input(1)) if maker.is_a("Clip") else None
    return low is not None and float(low) >= 0


_LAYOUTS: Final[Mapping[str, Callable[[_Look, Node], Layout]]] = {
    "Conv": _windowed,
    "MaxPool": _windowed,
    "AveragePool": _windowed,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "Add": _elementwise,
    "Sub": _elementwise,
    "Mul": _elementwise,
    "PRelu": _elementwise,
    "Concat": _concat,
    "BatchNormalization": _dirty,
    "QuantizeLinear": _linear,
    "DequantizeLinear": _linear,
}
