"""The outcome of a run, as values: what a reporter is handed and all that it may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from npugate.findings import rule_names
from npugate.findings.values import Finding, Severity
from npugate.report.census import Census
from npugate.report.compiled import Compiled
from npugate.report.documentation import Documentation
from npugate.report.estimate import Estimate
from npugate.report.graph_view import GraphView


class RuleInfo(Struct, frozen=True):
    """A rule as the reports need it, free of onnx."""

    id: str
    name: str
    severity: Severity
    summary: str
    doc: str
    repair: str | None = None


class InterfaceChange(Struct, frozen=True):
    """An input or output of the model that a repair declared anew.

    Attributes:
        name: of the value; it never changes.
        before, after: the shapes, for example ``[N, 3, 8, 8]``.
    """

    name: str
    before: str
    after: str


class Verification(Struct, frozen=True):
    """What comparing the repaired model with the original showed.

    Attributes:
        equal: None when nothing could be compared; ``reason`` says why.
        samples: sets of inputs that both models ran on.
        values: tensors that were compared: outputs, and outputs of rewritten regions.
        max_abs_error: largest difference of any element.
        tolerance: largest limit that any tensor had.
        reason: of a difference or of a failure.
        notes: what weakens the proof.
        reference: ``original``; ``legalised`` where the original itself cannot run; ``parts`` where
            neither can, and the file was only made legal.
        steps: largest share of the elements of a quantised tensor that were one step off, behind
            floats that are summed in another order.
        most_steps: the share that may be, at least one element; 0 where every integer was equal.
    """

    equal: bool | None
    samples: int = 0
    values: int = 0
    max_abs_error: float = 0.0
    tolerance: float = 0.0
    reason: str = ""
    notes: tuple[str, ...] = ()
    reference: str = "original"
    steps: float = 0.0
    most_steps: float = 0.0


class Outcome(Struct, frozen=True):
    """What became of one repair.

    Attributes:
        repair: its name.
        state: ``applied``, ``skipped``, ``declined`` or ``unverified``.
        reason: why it was not applied.
        edits: what it did, a sentence each.
        interface: inputs and outputs that it declared anew.
    """

    repair: str
    state: str
    reason: str = ""
    edits: tuple[str, ...] = ()
    interface: tuple[InterfaceChange, ...] = ()


class ModelSize(Struct, frozen=True):
    """A model in the numbers that a repair changes.

    Attributes:
        max_rank: largest number of dimensions of a tensor.
        batched_layers: Conv, ConvTranspose and pools that run on more than one sample.
        weight_bytes: of every initializer, as stored.
        macs: multiply-accumulates of one run.
        activation_bytes: largest sum of tensors alive at once; int8 where the model is quantised.
    """

    nodes: int = 0
    max_rank: int = 0
    batched_layers: int = 0
    weight_bytes: int = 0
    macs: int = 0
    activation_bytes: int = 0


class RepairReport(Struct, frozen=True):
    """What ``fix`` did to one model.

    Attributes:
        output: where the repaired model was written, as reported; None when it was not.
        outcomes: in the order in which they were tried.
        verification: None when nothing was applied.
        findings: of the repaired model; those of the original when nothing was applied.
        diff: nodes removed, added and changed, a line each.
        graph, estimate: of the repaired model; None as in ``ModelReport``, or when nothing changed.
    """

    outcomes: tuple[Outcome, ...]
    verification: Verification | None = None
    findings: tuple[Finding, ...] = ()
    before: ModelSize = field(default_factory=ModelSize)
    after: ModelSize = field(default_factory=ModelSize)
    diff: tuple[str, ...] = ()
    output: str | None = None
    graph: GraphView | None = None
    estimate: Estimate | None = None

    @property
    def is_repaired(self) -> bool:
        """True when a repair was applied and verified."""
        return any(outcome.state == "applied" for outcome in self.outcomes)


class Against(Struct, frozen=True):
    """How a model compares with itself on the base branch.

    Attributes:
        new: fingerprints that only the checked model has.
        unchanged: fingerprints that both have.
        fixed: findings that only the base has.
        estimate: of the base version; None when none was made.
        added: the base has no such model, so that everything in it is new.
    """

    new: frozenset[str]
    unchanged: frozenset[str]
    fixed: tuple[Finding, ...]
    estimate: Estimate | None = None
    added: bool = False


class Departed(Struct, frozen=True):
    """A model that the base had checked and the change has checked no more.

    Attributes:
        path: in the base, as reported.
        reason: what became of it.
    """

    path: str
    reason: str


class ModelReport(Struct, frozen=True):
    """One model and what was found in it.

    Attributes:
        path: relative to the repository's root, else to the working directory; forward slashes.
        digest: sha256 of the file; empty when it could not be read.
        findings: sorted by severity (worst first), then rule, then place; suppressed ones included.
        unreadable: True when the model could not be examined.
        seconds: wall time spent on it; not part of any report that is compared.
        repair: None when no repair was asked for.
        against: None when there is no base to compare with, or its version cannot be examined.
        as_found: True when the verdict is that of the model as found, whatever the repairs left.
        estimate: None when none was asked for, or the model could not be examined.
        graph: the same; only for reports that draw it.
        compiled: what the vendor's compiler said; None when it was not asked for.
    """

    path: str
    digest: str
    size_bytes: int
    findings: tuple[Finding, ...]
    unreadable: bool = False
    census: Census = field(default_factory=Census)
    seconds: float = 0.0
    repair: RepairReport | None = None
    as_found: bool = False
    against: Against | None = None
    estimate: Estimate | None = None
    graph: GraphView | None = None
    compiled: Compiled | None = None

    @property
    def left(self) -> tuple[Finding, ...]:
        """The findings that count: those that the repairs left, unless ``as_found`` is set."""
        if self.repair is None or self.as_found:
            return self.findings
        return self.repair.findings

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Unsuppressed errors that say that the file is no valid model."""
        return tuple(
            finding
            for finding in self.findings
            if finding.name in rule_names.FILE_FAULTS
            and finding.severity is Severity.ERROR
            and finding.suppression is None
        )

    def counted(self, severity: Severity) -> int:
        """Number of findings of one level that are left and not suppressed."""
        return sum(1 for f in self.left if f.severity is severity and f.suppression is None)

    def fails(self, threshold: Severity | None) -> bool:
        """Tell whether an unsuppressed finding that is left reaches the threshold, None never."""
        return _reach(self.left, threshold)

    def verdict(self, threshold: Severity | None) -> str:
        """Return ``pass``, ``fail`` or ``unreadable``: of the model as it was found."""
        if _reach(self.findings, threshold):
            return "unreadable" if self.unreadable else "fail"
        return "pass"

    def verdict_after(self, threshold: Severity | None) -> str:
        """Return the verdict on what the repairs left."""
        if _reach(self.findings if self.repair is None else self.repair.findings, threshold):
            return "unreadable" if self.unreadable else "fail"
        return "pass"

    def final_verdict(self, threshold: Severity | None) -> str:
        """Return the verdict that counts, see ``left``."""
        return self.verdict(threshold) if self.as_found else self.verdict_after(threshold)


def _reach(findings: Iterable[Finding], threshold: Severity | None) -> bool:
    if threshold is None:
        return False
    return any(f.severity >= threshold and f.suppression is None for f in findings)


class Report(Struct, frozen=True):
    """A whole run.

    Attributes:
        version: of npugate.
        target, toolchain: that the models were checked for.
        threshold: findings at or above it fail; None for ``--fail-on never``.
        models: sorted by path.
        rules: every rule that ran, by id.
        notices: sentences about the run itself (a limit not enforced, a baseline entry unused).
        opens: the first notice is so important that a page begins with it.
        departed: models that left the gate, sorted by path.
        may_leave: False makes the run fail when there are any.
        crashed: True when a rule raised; the run then ends with 3.
        failure: exit code of a run that came to no verdict; its reason is the only notice.
        documentation: where the pages of the rules and repairs can be seen.
    """

    version: str
    target: str
    toolchain: str
    threshold: Severity | None
    models: Sequence[ModelReport]
    rules: Mapping[str, RuleInfo]
    notices: tuple[str, ...] = ()
    crashed: bool = False
    failure: int = 0
    opens: bool = False
    departed: tuple[Departed, ...] = ()
    may_leave: bool = True
    documentation: Documentation = field(default_factory=Documentation)

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
        """True when a model fails or could not be read, or one left that may not."""
        if self.departed and not self.may_leave:
            return True
        return any(model.fails(self.threshold) for model in self.models)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 findings at or above the threshold, 2 usage, 3 our own failure."""
        if self.failure:
            return self.failure
        if self.crashed:
            return 3
        return 1 if self.failed else 0
