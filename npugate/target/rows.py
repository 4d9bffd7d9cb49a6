"""The rows of a target profile: limits, operators, constraints, traps, memories, sources.

Every row says where it is known from and how sure that is. A row may be restricted to some
toolchains; one that is applied to a newer toolchain without a text of its own says so in
``carried``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from npugate.findings.values import Severity

Confidence = Literal["documented", "observed", "third-party", "inferred"]
RunsOn = Literal["npu", "cpu", "conditional", "folded", "none"]
Effect = Literal["rejected", "cpu", "decomposed", "slow"]
MemoryKind = Literal["on-chip", "external-ram", "flash"]


class Limit(Struct, frozen=True, kw_only=True):
    """A number that a model must keep to, for example ``rank`` 5.

    Attributes:
        name: what is limited; the names that rules ask for are listed in docs/writing-a-target.md.
        value: the bound itself; a limit is broken by a value *above* it (below it for ``*_min``).
        severity: level of a finding that breaks it.
        unit: for the docs, for example ``dimensions``.
        error_text: what the compiler prints, when a real text is known.
    """

    name: str
    value: int
    severity: Severity
    source: str
    confidence: Confidence
    unit: str = ""
    error_text: str = ""
    note: str = ""
    toolchains: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()


class Operator(Struct, frozen=True, kw_only=True):
    """One row of the operator table: where an operator runs when it is quantised to int8.

    Attributes:
        op_type: ONNX name.
        domain: ``""`` is ai.onnx.
        runs_on: ``npu``; ``cpu``; ``conditional`` (see the constraints); ``folded`` (disappears
            at import); ``none`` (the compiler rejects or cannot import it).
        costly: True when the CPU version is slow enough to be worth a warning, not a note.
        fix: what to do instead, one sentence.
        evidence: models or reports that show it, one sentence.
    """

    op_type: str
    runs_on: RunsOn
    source: str
    confidence: Confidence
    domain: str = ""
    costly: bool = False
    fix: str = ""
    evidence: str = ""
    note: str = ""
    error_text: str = ""
    toolchains: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()


class Constraint(Struct, frozen=True, kw_only=True):
    """A condition under which an operator leaves the NPU, is decomposed or is rejected.

    Attributes:
        id: stable kebab-case name, shown in the message and usable in the docs.
        op_types: operators it applies to.
        when: name of a predicate of ``npugate.constraints`` that is true when it is *broken*.
        args: the predicate's arguments.
        effect: ``rejected``, ``cpu``, ``decomposed`` or ``slow``.
        severity: level of a finding.
        text: the sentence that the user reads; ``{…}`` fields are filled from the predicate.
        fix: what to do instead.
        error_text: the compiler's own words, when known.
        evidence: what was seen in a real compile, and in which model.
    """

    id: str
    op_types: tuple[str, ...]
    when: str
    effect: Effect
    severity: Severity
    text: str
    source: str
    confidence: Confidence
    args: Mapping[str, object]
    fix: str = ""
    error_text: str = ""
    evidence: str = ""
    toolchains: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()


class Trap(Struct, frozen=True, kw_only=True):
    """The severity of a whole rule on this target; a rule without a row keeps its own.

    Attributes:
        rule: kebab-case rule name.
        severity: ``off`` in the file switches the rule off for the toolchains named (None here).
        error_text: what the compiler prints, when known.
    """

    rule: str
    severity: Severity | None
    source: str
    confidence: Confidence
    error_text: str = ""
    note: str = ""
    toolchains: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()


class Region(Struct, frozen=True, kw_only=True):
    """A memory of the chip or board.

    Attributes:
        size_bytes: capacity.
        address: first byte.
        kind: ``on-chip``, ``external-ram`` or ``flash``.
        cycles_per_byte: cost of an access by the NPU, in NPU cycles; 0 when not known.
    """

    name: str
    size_bytes: int
    kind: MemoryKind
    source: str
    confidence: Confidence
    address: int = 0
    cycles_per_byte: float = 0.0
    note: str = ""
    toolchains: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()


class Toolchain(Struct, frozen=True, kw_only=True):
    """A version of the compiler that rows can be restricted to."""

    version: str
    label: str
    source: str
    confidence: Confidence
    note: str = ""


class Reference(Struct, frozen=True, kw_only=True):
    """A source that rows name by ``id``; a row's ``source`` may add a place after a colon."""

    id: str
    title: str
    url: str = ""


Row = Limit | Operator | Constraint | Trap | Region | Toolchain | Reference
