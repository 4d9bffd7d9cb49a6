"""The model uses an operator that is not part of ONNX.

**Why.** The compiler reads ONNX's own operators and a few of ONNX Runtime's quantised ones. What a
training framework or an optimiser adds in a domain of its own has no implementation there.

**Fix.** Export without the framework's own operators: fold custom quantisers into QuantizeLinear
and DequantizeLinear, save the model before the runtime's optimiser fuses it.

**Limits.** An operator that the model itself defines as a local function is looked into instead.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield the nodes of foreign domains that the target's table does not list."""
    for node in facts.nodes:
        if not node.domain or node.domain.startswith("ai.onnx"):
            continue
        row = target.operator(node.op_type, node.domain)
        if row is None or row.runs_on == "none":
            yield node.hit(
                f"{node.op_type} of domain {node.domain!r} is no operator of ONNX, and"
                f" {target.name} ({target.toolchain}) does not know it"
            )


RULE = Rule(
    id="NPU209",
    name="custom-operator",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("https://stedgeai-dc.st.com/assets/embedded-docs/stneuralart_operator_support.html",),
    check=check,
    examples=(
        Example(
            title="a training framework's quantiser",
            bad="""
                <ir_version: 8, opset_import: ["" : 14, "mct_quantizers" : 1]>
                net (float[1, 8] x) => (float[1, 8] y)
                {
                    q = mct_quantizers.ActivationPOTQuantizer (x)
                    y = Relu (q)
                }
            """,
            messages=(
                (
                    "ActivationPOTQuantizer of domain 'mct_quantizers' is no operator of ONNX, and"
                    " stm32n6 (2.2) does not know it"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
        ),
    ),
)
