"""The compiler found no room on the chip for all activations.

**Why.** Only with `--stedgeai`. External RAM is slower than the memories on the chip by a factor of
four and more, and a board without it, or a firmware that does not map it, stops at the first
access. Without any room the compiler gives up.

**Fix.** Make the input or the model smaller, quantise what is still float, or give the profile a
memory pool that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield nothing: npugate/stedgeai reports what the compiler said under this name."""
    yield from ()


RULE = Rule(
    id="NPU602",
    name="compiler-memory",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("ST Edge AI Core's own output: npugate/compilers/stedgeai/errors.toml",),
    check=check,
    examples=(),
)
