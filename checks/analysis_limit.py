"""The model is larger, deeper or longer than what is examined.

**Why.** A few hundred bytes can stand for endless work: functions that call themselves, or each the
one before twice; bodies within bodies. Such a file would hang the checker, shape inference and the
compiler, so it is refused before anything walks its graph. The limits are far above real models:
200,000 nodes once functions are inlined, and 32 levels of bodies and calls.

**Fix.** Look at what made the model. Inline or remove the function that the message names; save
large weights as external data.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what the reader of the file has found."""
    for problem in facts.problems("analysis-limit"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


RULE = Rule(
    id="NPU008",
    name="analysis-limit",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("GHSA-7w46-vvrh-m8q5",),
    check=check,
    examples=(
        Example(
            title="a function that calls itself",
            bad="""
                <ir_version: 8, opset_import: ["" : 14, "local" : 1]>
                net (float[1, 4] x) => (float[1, 4] y) { y = local.again (x) }
                <opset_import: ["" : 14, "local" : 1], domain: "local">
                again (x) => (y) { y = local.again (x) }
            """,
            messages=("local functions call themselves without end: 'again' -> 'again'",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }
            """,
        ),
    ),
    unreadable=True,
)
