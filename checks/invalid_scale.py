"""A scale is zero, negative, not finite or too small to divide by, or no constant.

**Why.** A value is divided by its scale to make an integer. By 0 or a number so small that its
inverse overflows that is no number, with NaN everything behind it is NaN, and a negative scale
turns the order of the integers around. A channel of weights whose scale is 0 is 0 in every image.
Nothing stops at such a scale: the board computes nonsense. And a compiler writes scales into the
code, so it has to know them.

**Fix.** Calibrate again with data in which every channel is alive, and look for NaN in the float
weights. For a channel that is really dead, write the smallest scale of its neighbours: its integers
are 0. A scale that nodes compute from constants becomes one by folding constants.

**Limits.** Scales beyond 4096 values and those in other files are not read.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from npugate.api import (
    Array,
    Example,
    Facts,
    Hit,
    Node,
    Rule,
    Severity,
    Target,
    Tensor,
    scale_positions,
)

_TINY = float(np.finfo(np.float32).tiny)
_PLAIN = frozenset({"Constant", "Identity"})


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each operand that is a scale and has a value that no scale can have."""
    if not target.npu:
        return
    for node in facts.nodes:
        for position in scale_positions(node):
            scale = node.input(position)
            if scale is not None:
                yield from _of_scale(node, scale)


def _of_scale(node: Node, scale: Tensor) -> Iterator[Hit]:
    if not scale.is_constant:
        if scale.producer is not None and scale.producer.op_type == "DynamicQuantizeLinear":
            return  # named by itself: no compiler takes it
        if scale.producer is None:
            what = "an input of its graph"
        else:
            what = f"computed by {scale.producer.full_type} {scale.producer.label!r}"
        yield node.hit(f"its scale {scale.name!r} is {what}, a constant is wanted")
        return
    maker = scale.producer
    if maker is not None and maker.op_type not in _PLAIN:
        text = f"its scale {scale.name!r} is computed by {maker.full_type} {maker.label!r} from"
        yield node.hit(f"{text} constants, a constant is wanted", severity=Severity.WARNING)
    if scale.constant is not None and scale.constant.dtype.kind != "b":
        yield from _faults(node, scale, scale.constant)


def _faults(node: Node, scale: Tensor, value: Array) -> Iterator[Hit]:
    """Yield a hit for each kind of fault among the values T[...] of a scale, at its first place."""
    flat = np.asarray(value, np.float64).reshape(-1)
    with np.errstate(invalid="ignore"):
        kinds = (
            ("NaN", np.isnan(flat)),
            ("infinite", np.isinf(flat)),
            ("negative", (flat < 0) & ~np.isinf(flat)),
            ("0", flat == 0),
            ("subnormal", (flat > 0) & (flat < _TINY)),
        )
    for word, bad in kinds:
        count = int(np.count_nonzero(bad))
        if not count:
            continue
        at = int(np.argmax(bad))
        shown = f"{word} ({flat[at]:.3g})" if word in {"negative", "subnormal"} else word
        which = "its scale" if flat.size == 1 else f"scale {at} of {flat.size}"
        more = f", and so are {count - 1} more" if count > 1 else ""
        yield node.hit(f"{which} is {shown}{more} ({scale.name!r})", severity=_level(node, word))


def _level(node: Node, word: str) -> Severity:
    """A dead channel of weights is 0 in floats, too; what is divided by 0 is not."""
    held = node.input(0)
    weights = node.op_type == "DequantizeLinear" and held is not None and held.is_constant
    return Severity.WARNING if weights and word in {"0", "subnormal"} else Severity.ERROR


RULE = Rule(
    id="NPU312",
    name="invalid-scale",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html",
        "https://github.com/NVIDIA/TensorRT/issues/2267",
        "https://github.com/NVIDIA/TensorRT/issues/2628",
        "https://github.com/apple/coremltools/issues/2853",
    ),
    check=check,
    examples=(
        Example(
            title="a scale that is NaN, and a dead channel of weights",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 2, 8, 8] y)
                <float s = {0.1}, float n = {nan}, int8 z = {0}, int8[2, 3, 1, 1] w,
                 float[2] ws = {0.1, 0}, int8[2] wz = {0, 0}>
                {
                  xq = QuantizeLinear (x, n, z)
                  xd = DequantizeLinear (xq, s, z)
                  wd = DequantizeLinear <axis = 0> (w, ws, wz)
                  c = Conv (xd, wd)
                  cq = QuantizeLinear (c, s, z)
                  y = DequantizeLinear (cq, s, z)
                }
            """,
            messages=("its scale is NaN ('n')", "scale 1 of 2 is 0 ('ws')"),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 2, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, int8[2, 3, 1, 1] w,
                 float[2] ws = {0.1, 0.1}, int8[2] wz = {0, 0}>
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
