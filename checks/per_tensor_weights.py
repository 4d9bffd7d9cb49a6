"""Weights are quantised with one scale for the whole tensor.

**Why.** The accelerator runs them, but accuracy is better with one scale for each output channel,
and the vendor recommends that.

**Fix.** Quantise with `per_channel=True`.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import (
    WEIGHTED,
    Example,
    Facts,
    Hit,
    Node,
    Rule,
    Severity,
    Target,
    dequantize,
    weight,
)


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield one hit: how many layers have such weights, at the first."""
    if not target.npu:
        return
    found: list[Node] = []
    layers = 0
    for node in facts.nodes:
        scaled = dequantize(node.input(1)) if node.op_type in WEIGHTED else None
        scale = scaled.input(1) if scaled is not None and weight(node) is not None else None
        if scale is not None:
            layers += 1
            if scale.elements == 1 and _channels(node) > 1:
                found.append(node)
    if found:
        text = f"{len(found)} of {layers} quantised weights have one scale for the whole tensor"
        yield found[0].hit(text)


def _channels(node: Node) -> int:
    made = node.output()
    shape = made.static_shape if made is not None else None
    return shape[1] if shape is not None and len(shape) > 1 else 1


RULE = Rule(
    id="NPU306",
    name="per-tensor-weights",
    severity=Severity.NOTE,
    doc=__doc__,
    sources=(
        "ST Edge AI Core 2.1, quantization.html: per_channel=True recommended",
        "stm32n6-edge-ai-benchmarks by Magnus3327: per-tensor weights run on the NPU",
    ),
    check=check,
    examples=(
        Example(
            title="one scale for four channels",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, int8[4, 3, 1, 1] w, float ws = {0.1}, int8 wz = {0}>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  wd = DequantizeLinear (w, ws, wz)
                  c = Conv (xd, wd)
                  cq = QuantizeLinear (c, s, z)
                  y = DequantizeLinear (cq, s, z)
                }
            """,
            messages=("1 of 1 quantised weights have one scale for the whole tensor",),
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
