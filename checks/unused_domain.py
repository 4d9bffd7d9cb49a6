"""The file imports an operator domain that no operator belongs to.

**Why.** Optimisers leave their own domains behind. Nothing is wrong with the network, but an
importer that does not know a domain may stop at its name.

**Fix.** Drop the entry from `model.opset_import`.

**Limits.** A note: models with such entries have been compiled.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Location, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield the imported domains without a node; those of local functions count as used."""
    used = {node.domain for node in facts.nodes}
    used.update(function.domain for function in facts.model.proto.functions)
    for domain, version in facts.opsets.items():
        if domain and domain not in used:
            text = f"the file imports domain {domain!r} (version {version}), which no node uses"
            yield Hit(Location(value=domain), text)


RULE = Rule(
    id="NPU208",
    name="unused-domain",
    severity=Severity.NOTE,
    doc=__doc__,
    sources=("https://github.com/LarocheC/stm32n6-deployment-zoo",),
    check=check,
    repair="remove-unused",
    examples=(
        Example(
            title="what an optimiser left behind",
            bad="""
                <ir_version: 8, opset_import: ["" : 14, "com.microsoft.nchwc" : 1]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
            messages=(
                "the file imports domain 'com.microsoft.nchwc' (version 1), which no node uses",
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
        ),
    ),
)
