"""The outcome of a run, as values: what a reporter is handed and all that it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from npugate.types import Census, Finding, Severity


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """A rule as the reports need it, free of onnx."""

    id: str
    name: str
    severity: Severity
    summary: str
    doc: str
    repair: str | None = None


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model and what was found in it.

    Attributes:
        path: relative to the repository's root, else to the working directory; forward slashes.
        digest: sha256 of the file; empty when it could not be read.
        findings: sorted by severity (worst first), then rule, then place; suppressed ones included.
        unreadable: True when the model could not be examined.
        seconds: wall time spent on it; not part of any report that is compared.
    """

    path: str
    digest: str
    size_bytes: int
    findings: tuple[Finding, ...]
    unreadable: bool = False
    census: Census = field(default_factory=Census)
    seconds: float = field(default=0.0, compare=False)

    def counted(self, severity: Severity) -> int:
        """Number of findings of one level that are not suppressed."""
        return sum(1 for f in self.findings if f.severity is severity and f.suppression is None)

    def fails(self, threshold: Severity | None) -> bool:
        """Tell whether an unsuppressed finding reaches the threshold; None never fails."""
        if threshold is None:
            return False
        return any(f.severity >= threshold and f.suppression is None for f in self.findings)

    def verdict(self, threshold: Severity | None) -> str:
        """Return ``pass``, ``fail`` or ``unreadable``."""
        if self.fails(threshold):
            return "unreadable" if self.unreadable else "fail"
        return "pass"


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run.

    Attributes:
        version: of npugate.
        target, toolchain: what the models were judged by.
        threshold: findings at or above it fail; None for ``--fail-on never``.
        models: sorted by path.
        rules: every rule that ran, by id.
        notices: sentences about the run itself (a limit not enforced, a baseline entry unused).
        crashed: True when a rule raised; the run then ends with 3.
        failure: exit code of a run that came to no verdict; its reason is the only notice.
    """

    version: str
    target: str
    toolchain: str
    threshold: Severity | None
    models: tuple[ModelReport, ...]
    rules: Mapping[str, RuleInfo]
    notices: tuple[str, ...] = ()
    crashed: bool = False
    failure: int = 0

    @classmethod
    def failure_of(cls, version: str, reason: str, exit_code: int) -> Report:
        """Return the report of a run that came to no verdict, for those who read only reports."""
        threshold = Severity.ERROR
        return cls(version, "", "", threshold, (), {}, (reason,), failure=exit_code)

    def total(self, severity: Severity) -> int:
        """Number of unsuppressed findings of one level over all models."""
        return sum(model.counted(severity) for model in self.models)

    @property
    def failed(self) -> bool:
        """True when a model fails or could not be read."""
        return any(model.fails(self.threshold) for model in self.models)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 findings at or above the threshold, 2 usage, 3 our own failure."""
        if self.failure:
            return self.failure
        if self.crashed:
            return 3
        return 1 if self.failed else 0
