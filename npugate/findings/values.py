"""What a rule says: severities, places, findings.

Nothing here imports onnx or numpy, so that ``--help`` and the reporters stay free of both.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from npugate.findings.sketch import Sketch


class Severity(IntEnum):
    """How bad a finding is; ordered, so that a threshold is one comparison."""

    NOTE = 1
    WARNING = 2
    ERROR = 3

    @property
    def label(self) -> str:
        """The lower-case word used in every report."""
        return self.name.lower()


class Location(Struct, frozen=True):
    """A place in a model. Empty strings mean "does not apply".

    Attributes:
        graph: ``""`` for the main graph, else the path of the subgraph or function.
        node: the node's name; an unnamed node goes by its first output.
        op_type: operator of the node, with its domain when that is not ai.onnx.
        value: name of the tensor the finding is about.
    """

    graph: str = ""
    node: str = ""
    op_type: str = ""
    value: str = ""

    def __str__(self) -> str:
        """Render as one path, for example ``body/Resize(up1):y``."""
        node = f"{self.op_type}({self.node})" if self.op_type else self.node
        place = "/".join(part for part in (self.graph, node) if part)
        if not self.value:
            return place or "model"
        return f"{place}:{self.value}" if place else self.value


class Cost(Struct, frozen=True):
    """What leaving the NPU costs one operator.

    Attributes:
        microseconds: low, likely and high; None when no time of such an operator was measured.
        written_bytes: that the CPU writes to memory for it, conversions included.
    """

    microseconds: tuple[float, float, float] | None
    written_bytes: int


class Frame(Struct, frozen=True):
    """One frame of an exporter's stack trace, as the file carries it.

    Attributes:
        file: path on the exporting machine, or relative when the exporter rewrote it.
        line: 1-based.
        function: name of the function the frame is in.
        text: the source line as the exporter saw it; ``""`` when it was not recorded.
    """

    file: str
    line: int
    function: str
    text: str = ""


class Source(Struct, frozen=True):
    """A line of Python in the checkout that made a node (see ``facts/provenance.py``)."""

    file: str
    line: int
    text: str


class Hit(Struct, frozen=True):
    """What a rule yields: one place, one message.

    Attributes:
        location: where.
        message: what and how much, with the limit and the value.
        severity: None takes the rule's own; a rule that reads its severity from the target sets it.
        frames: the exporter's stack trace of the node, innermost first; empty when unknown.
        subject: what tells it from another hit of the rule at the same place, as part of its
            fingerprint; None takes the message without its names and figures.
        cost: of an operator off the NPU.
    """

    location: Location
    message: str
    severity: Severity | None = None
    frames: tuple[Frame, ...] = ()
    subject: str | None = None
    cost: Cost | None = None


class Suppression(Struct, frozen=True):
    """Why a finding does not count: ``by`` is ``config``, ``baseline`` or ``base``."""

    by: str
    reason: str


class Finding(Struct, frozen=True):
    """A hit with everything the reports need.

    Attributes:
        rule: ``NPUnnn``.
        name: the rule's kebab-case name.
        fingerprint: 16 hex digits; stable under changed numbers and paths.
        repair: name of the repair that removes it, or None.
        twin: the line of the model's text twin that shows the node, when there is a fresh twin.
        sketch: what is around the node; only the worst findings of a model have one.
        cost: of an operator off the NPU; None where the finding is about something else.
    """

    rule: str
    name: str
    severity: Severity
    message: str
    location: Location
    fingerprint: str
    source: Source | None = None
    suppression: Suppression | None = None
    repair: str | None = None
    twin: Source | None = None
    sketch: Sketch | None = None
    cost: Cost | None = None


class Problem(Struct, frozen=True):
    """A fault found on the way to the facts (reading, structure, inference); a rule reports it.

    Attributes:
        rule: kebab-case name of the rule that owns this kind of fault.
        subject: as of a hit.
    """

    rule: str
    location: Location
    message: str
    frames: tuple[Frame, ...] = ()
    subject: str | None = None
