"""Scales run along another axis than the channels, or an activation has several scales.

**Why.** The compiler takes scales along the channel axis; along another the code can be wrong
without a message. An axis that the layer sums over has no one scale for its result.

**Fix.** Quantise weights along their output channels and activations per tensor: axis 0 of a Conv
and of a Gemm with `transB`, axis 1 of a ConvTranspose, of another Gemm and of a MatMul.

**Limits.** A weight behind Transpose, Reshape, Squeeze, Unsqueeze or Flatten is followed back to
its scales; behind another operator it is not.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import (
    CONVOLUTIONS,
    Example,
    Facts,
    Hit,
    Node,
    Rule,
    Severity,
    Target,
    Tensor,
    scale_axis,
)

_CONV = ("output channels", "input channels")
_TRANSPOSED_CONV = ("input channels", "output channels")


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield activations with several scales, and weights whose scales run along a wrong axis."""
    if not target.npu:
        return
    for node in facts.nodes_of("QuantizeLinear"):
        made = node.output()
        if _scales(node) > 1 and made is not None and not made.is_constant:
            yield node.hit(f"activation {made.name!r} has {_scales(node)} scales, 1 is wanted")
    for node in facts.nodes_of("Conv", "ConvTranspose", "Gemm", "MatMul"):
        for position in (0, 1):
            yield from _misplaced(node, position)


def _misplaced(node: Node, position: int) -> Iterator[Hit]:
    """Yield the weight at a position whose scales run along an axis that the layer sums over."""
    held = node.input(position)
    if held is None or not held.is_constant or held.rank is None:
        return
    roles = _roles(node, position, held.rank)
    found = scale_axis(held)
    if found is None or roles is None:
        return
    wanted = next(axis for axis, role in enumerate(roles) if role.startswith("output"))
    if found.axis is None:
        yield node.hit(
            f"the scales of the weight run along axis {found.stored} of {_source(found.node)!r}, "
            f"which a view joins with another axis; axis {wanted} of the weight is wanted"
        )
    elif found.axis != wanted and not _depthwise(node, held, found.axis):
        place = f"axis {found.axis} ({roles[found.axis]})"
        if found.node.output() is not held:
            place = f"axis {found.stored} of {_source(found.node)!r}, which is {place}"
        yield node.hit(f"the scales of the weight run along {place}, {wanted} is wanted")


def _depthwise(node: Node, weight: Tensor, axis: int) -> bool:
    """Tell whether a transposed convolution sums over none of its input channels."""
    groups = node.int_attribute("group", 1)
    channels = weight.shape[0] if weight.shape else None
    return node.op_type == "ConvTranspose" and axis == 0 and groups > 1 and groups == channels


def _roles(node: Node, position: int, rank: int) -> tuple[str, ...] | None:
    """Say what each axis of a weight is to its layer; None where a layer has no weight."""
    if node.op_type in CONVOLUTIONS:
        channels = _CONV if node.op_type == "Conv" else _TRANSPOSED_CONV
        return (*channels, *(["kernel"] * (rank - 2))) if position == 1 and rank > 1 else None
    if rank < 2:  # noqa: PLR2004 - a vector has no channels of its own
        return None
    matrix = ("inputs", "outputs") if position == 1 else ("outputs", "inputs")
    turned = node.op_type == "Gemm" and node.int_attribute(("transA", "transB")[position], 0)
    return (*(["batch"] * (rank - 2)), *(reversed(matrix) if turned else matrix))


def _source(node: Node) -> str:
    tensor = node.input(0)
    return tensor.name if tensor is not None else ""


def _scales(node: Node) -> int:
    scale = node.input(1)
    return (scale.elements or 1) if scale is not None else 1


RULE = Rule(
    id="NPU309",
    name="quantization-axis",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "ST Edge AI Core 2.1, stneuralart_operator_support.html: the axis must be the channel axis",
        "https://github.com/microsoft/onnxruntime/issues/26456",
        "https://github.com/microsoft/onnxruntime/issues/12800",
    ),
    check=check,
    examples=(
        Example(
            title="scales along the input channels",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, int8[4, 3, 1, 1] w,
                 float[3] ws = {0.1, 0.1, 0.1}, int8[3] wz = {0, 0, 0}>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  wd = DequantizeLinear <axis = 1> (w, ws, wz)
                  c = Conv (xd, wd)
                  cq = QuantizeLinear (c, s, z)
                  y = DequantizeLinear (cq, s, z)
                }
            """,
            messages=("the scales of the weight run along axis 1 (input channels), 0 is wanted",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, int8[4, 3, 1, 1] w,
                 float[4] ws = {0.1, 0.1, 0.1, 0.1}, int8[4] wz = {0, 0, 0, 0}>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  wd = DequantizeLinear <axis = 0> (w, ws, wz)
                  c = Conv (xd, wd)
                  cq = QuantizeLinear (c, s, z)
                  y = DequantizeLinear (cq, s, z)
                }
            """,
        ),
    ),
)
