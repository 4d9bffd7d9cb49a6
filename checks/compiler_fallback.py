"""The compiler runs more on the CPU than was to be expected.

**Why.** Only with `--stedgeai`. A software epoch costs time, and the whole NPU waits for it. More
of them than predicted means that npugate's placement is wrong for this model, or that the
quantisation did not arrive.

**Fix.** Look at the operators that the message names, and at predicted against compiled in the
report; report a wrong prediction.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield nothing: npugate/stedgeai reports what the compiler said under this name."""
    yield from ()


RULE = Rule(
    id="NPU605",
    name="compiler-fallback",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("ST Edge AI Core's own output: npugate/compilers/stedgeai/errors.toml",),
    check=check,
    examples=(),
)
