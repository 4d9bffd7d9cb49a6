"""A quantised model makes boolean tensors.

**Why.** One version of the compiler meets `BOOL` in the quantisation file, says `Ignore
Quantization JSON file; unsupported version`, and drops all quantisation without an error: the whole
network then runs in float on the CPU.

**Fix.** Write masks as arithmetic: `mask * a + (1 - mask) * b` on a float mask, or compute them on
the host. Look at the number of software epochs after a compile.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each node that makes a boolean at run time, in a quantised model."""
    if not target.npu or facts.quantization.form == "float":
        return
    for tensor in facts.tensors:
        if tensor.dtype == TensorProto.BOOL and not tensor.is_constant and tensor.producer:
            yield tensor.hit(f"{tensor.producer.op_type} makes the boolean tensor {tensor.name!r}")


RULE = Rule(
    id="NPU303",
    name="bool-tensor",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("LarocheC/stm32n6-deployment-zoo, known issues, Core 4.0.1",),
    check=check,
    repair="avoid-bool-tensors",
    examples=(
        Example(
            title="a comparison in a quantised model",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x, float[1, 4] r) => (bool[1, 4] y)
                <float s = {0.1}, int8 z = {0}>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  y = Equal (xd, r)
                }
            """,
            messages=("Equal makes the boolean tensor 'y'",),
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
