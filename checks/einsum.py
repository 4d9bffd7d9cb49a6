"""A contraction is written as an Einsum.

**Why.** The importer documents an Einsum of two operands with four dimensions, and no row of the
accelerator's table names it, so at best it runs on the CPU. One version of the compiler stops with
`TOOL ERROR: Error in computation of shapes`.

**Fix.** Write it as a matrix product between transposes: `a @ b`, `torch.matmul`.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Einsum that is computed at run time."""
    for node in facts.nodes_of("Einsum"):
        made = node.output()
        if made is None or made.is_constant or "einsum" not in target.traps:
            continue
        yield node.hit(f"Einsum of {node.text_attribute('equation', '')!r}")


RULE = Rule(
    id="NPU227",
    name="einsum",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "ST Edge AI Core 2.1, supported_ops_onnx.html: Einsum",
        "LarocheC/stm32n6-deployment-zoo, known issues, Core 4.0.1",
    ),
    check=check,
    repair="split-einsum",
    examples=(
        Example(
            title="scores of an attention",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 2, 4, 8] q, float[1, 2, 6, 8] k) => (float[1, 2, 4, 6] y)
                { y = Einsum <equation = "bhqd,bhkd->bhqk"> (q, k) }
            """,
            messages=("Einsum of 'bhqd,bhkd->bhqk'",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 2, 4, 8] q) => (float[1, 2, 4, 6] y)
                <float[8, 6] k> { y = MatMul (q, k) }
            """,
        ),
    ),
)
