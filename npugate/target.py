"""Read a target profile: what a chip and its compiler accept, as data with sources.

A profile is one TOML file in ``targets/``; every row says where it is known from and how sure that
is. Rules take numbers from here and hold none of their own. Each row may be restricted to some
toolchains; a row that is applied to a newer toolchain without a text of its own says so in
``carried``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Final, TypeVar, get_args, Literal

from npugate.errors import TargetError
from npugate.types import Severity

FOLDER: Final = Path(__file__).resolve().parent / "targets"

Confidence = Literal["documented", "observed", "third-party", "inferred"]
RunsOn = Literal["npu", "cpu", "conditional", "folded", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
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
    effect: Literal["rejected", "cpu", "decomposed", "slow"]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A memory of the chip or board.

    Attributes:
        size_bytes: capacity.
        address: first byte.
        kind: ``on-chip``, ``external-ram`` or ``flash``.
        cycles_per_byte: cost of an access by the NPU, in NPU cycles; 0 when not known.
    """

    name: str
    size_bytes: int
    kind: Literal["on-chip", "external-ram", "flash"]
    source: str
    confidence: Confidence
    address: int = 0
    cycles_per_byte: float = 0.0
    note: str = ""
    toolchains: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """A version of the compiler that rows can be restricted to."""

    version: str
    label: str
    source: str
    confidence: Confidence
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A source that rows name by ``id``; a row's ``source`` may add a place after a colon."""

    id: str
    title: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One profile, narrowed to one toolchain."""

    name: str
    title: str
    toolchain: str
    toolchains: tuple[Toolchain, ...]
    npu: bool
    limits: Mapping[str, Limit]
    operators: Mapping[tuple[str, str], Operator]
    constraints: Mapping[str, tuple[Constraint, ...]]
    traps: Mapping[str, Trap]
    regions: tuple[Region, ...]
    references: Mapping[str, Reference]

    def limit(self, name: str) -> Limit | None:
        """Return the limit of this name; None when the target has none."""
        return self.limits.get(name)

    def operator(self, op_type: str, domain: str = "") -> Operator | None:
        """Return the row of an operator; None when the table does not list it."""
        return self.operators.get((domain, op_type))
