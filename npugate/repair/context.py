"""What the repairs of one model are given; free of onnxruntime and graphsurgeon."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from npugate.findings.values import Hit, Severity
from npugate.limits import Limits
from npugate.rules.values import Rule
from npugate.settings.options import RepairRequest
from npugate.target.values import Target


class RepairContext(Struct, frozen=True):
    """What the repairs of one model are checked with.

    Attributes:
        rules: every rule, by id.
        chosen: ids of the rules that run.
        request: what was asked for.
        stage: told what is being done.
    """

    rules: Mapping[str, Rule]
    chosen: Sequence[str]
    target: Target
    limits: Limits
    request: RepairRequest
    stage: Callable[[str], None] = lambda _stage: None

    def wanted(self, hits: Sequence[tuple[str, Hit]]) -> set[str]:
        """Return the repairs that findings of warning and above call for, or that were selected."""
        if self.request.selected is not None:
            return set(self.request.selected)
        named = {
            self.rules[rule].repair
            for rule, hit in hits
            if hit.severity is not None and hit.severity >= Severity.WARNING
        }
        return {name for name in named if name is not None and name in self.request.repairs}
