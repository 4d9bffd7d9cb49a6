"""The vendor's compiler does not take the model, or comes to no end.

**Why.** Only with `--stedgeai`: ST Edge AI Core was run on the model. Its verdict is the last word,
whatever npugate thinks. A failure that the catalogue knows is reported under the rule that it is
about; this one is for those that no rule is about.

**Fix.** Read the compiler's words in the message. When npugate knew the failure, it says what to
do; when not, file it with the record that `--record` keeps.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield nothing: npugate/stedgeai reports what the compiler said under this name."""
    yield from ()


RULE = Rule(
    id="NPU601",
    name="compiler-refused",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("ST Edge AI Core's own output: npugate/compilers/stedgeai/errors.toml",),
    check=check,
    examples=(),
)
