"""Activations are quantised to unsigned integers.

**Why.** The scheme of the accelerator is int8. Unsigned activations are untested by the vendor, and
version 4.0 answers `quantized unsigned integer format is not supported`.

**Fix.** Quantise with `activation_type=QInt8`.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target

_UNSIGNED = {TensorProto.UINT8: "uint8", TensorProto.UINT16: "uint16", TensorProto.UINT4: "uint4"}


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield one hit: how many QuantizeLinear nodes make unsigned integers, at the first."""
    if not target.npu:
        return
    found = [
        node
        for node in facts.nodes_of("QuantizeLinear")
        if (made := node.output()) is not None and made.dtype in _UNSIGNED and not made.is_constant
    ]
    if found:
        made = found[0].output()
        kind = _UNSIGNED[TensorProto.DataType.ValueType(made.dtype)] if made else ""
        yield found[0].hit(f"{len(found)} activations are quantised to {kind}; int8 is wanted")


RULE = Rule(
    id="NPU304",
    name="unsigned-activations",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "ST Edge AI Core 2.1, quantization.html: QInt8 recommended, QUInt8 untested",
        "LarocheC/stm32n6-deployment-zoo, known issues, Core 4.0.1",
    ),
    check=check,
    examples=(
        Example(
            title="uint8 activations",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float s = {0.1}, uint8 z = {128}, int8[4, 3, 1, 1] w,
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
            messages=("2 activations are quantised to uint8; int8 is wanted",),
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
