"""The compiler dropped the quantisation of the model without failing.

**Why.** Only with `--stedgeai`. An entry that the NPU compiler cannot read, known for boolean
tensors, makes it ignore the whole quantisation file: the network is compiled in float, for the CPU.

**Fix.** Replace comparisons and casts to bool by arithmetic, then look at the number of software
epochs again.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield nothing: npugate/stedgeai reports what the compiler said under this name."""
    yield from ()


RULE = Rule(
    id="NPU603",
    name="quantization-dropped",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("ST Edge AI Core's own output: npugate/compilers/stedgeai/errors.toml",),
    check=check,
    examples=(),
)
