"""A rule raised an exception instead of checking the model.

**Why.** A fault of npugate, or of a rule of your own. The other rules have run, but this model has
not been fully checked; so the run ends with exit status 3 and never looks like a pass.

**Fix.** Report it with the traceback from the log. Until then `--ignore RULE` leaves the rule out.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield nothing: the engine reports a rule that raised under this name."""
    yield from ()


RULE = Rule(
    id="NPU002",
    name="rule-crashed",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("npugate's own engine: npugate/rules/check.py",),
    check=check,
    examples=(),
)
