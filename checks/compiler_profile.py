"""The compiler ignores a part of the profile that it was given.

**Why.** Only with `--stedgeai`. A key that this version no longer has is skipped with a warning, so
the network is compiled with other settings than the profile says.

**Fix.** Rename the key as the message says, `memory_desc` to `machine_desc` for one.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield nothing: npugate/stedgeai reports what the compiler said under this name."""
    yield from ()


RULE = Rule(
    id="NPU604",
    name="compiler-profile",
    severity=Severity.NOTE,
    doc=__doc__,
    sources=("ST Edge AI Core's own output: npugate/compilers/stedgeai/errors.toml",),
    check=check,
    examples=(),
)
