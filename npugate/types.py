"""The values that pass between the steps: severities, places, findings, rules.

Nothing here imports onnx or numpy, so that ``--help`` and the reporters stay free of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

from msgspec import Struct, field

from npugate.sketch import Sketch

if TYPE_CHECKING:  # annotations only: these modules import this one
    from onnx import ModelProto

    from npugate.facts import Facts
    from npugate.surgery.draft import Draft
    from npugate.surgery.shelf import Shelf
    from npugate.target import Target


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
    """

    location: Location
    message: str
    severity: Severity | None = None
    frames: tuple[Frame, ...] = ()


class Suppression(Struct, frozen=True):
    """Why a finding does not count: ``by`` is ``config`` or ``baseline``."""

    by: str
    reason: str


class Finding(Struct, frozen=True):
    """A hit with everything the reports need.

    Attributes:
        rule: ``NPUnnn``.
        name: the rule's kebab-case name.
        fingerprint: 16 hex digits; stable under changed figures and paths.
        repair: name of the repair that removes it, or None.
        twin: the line of the model's text twin that shows the node, when there is a fresh twin.
        sketch: what is around the node; only the worst findings of a model have one.
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


class Example(Struct, frozen=True):
    """A pair of models that shows a rule: the tests run it and the docs print it.

    Attributes:
        title: what the bad model does, as a short phrase.
        bad: ONNX text; parameters declared without data are filled from a fixed seed.
        messages: the exact messages of this rule on the bad model, in order.
        good: ONNX text of the nearest clean model; clean under *every* rule (notes allowed).
        target: profile to judge by, ``name`` or ``name@toolchain``.
        board: whose memories to fill; empty for the default one.
        budget: what the estimate must keep to, as in the configuration.
        edit: changes the parsed bad model in ways that the text form cannot say.
        write: writes the bad file by itself, for faults that are no valid protobuf; gets the folder
            and returns the path of the model. ``bad`` is then printed in the docs as prose.
    """

    title: str
    bad: str
    messages: tuple[str, ...]
    good: str
    target: str = "stm32n6"
    edit: Callable[[object], None] | None = None
    write: Callable[[object], object] | None = None
    board: str = ""
    budget: Mapping[str, str] = field(default_factory=dict)


Check = Callable[["Facts", "Target"], Iterator[Hit]]


class Rule(Struct, frozen=True):
    """One check of one limit, declared by one file in ``checks/`` as ``RULE``.

    Attributes:
        id: ``NPUnnn``, never reused.
        name: kebab-case; equals the file's name with hyphens.
        severity: the level of a hit that names none of its own.
        doc: the module's docstring: summary line, **Why.**, **Fix.**.
        sources: where the limit is known from.
        check: a generator over the facts; it never sorts, filters, prints or edits.
        repair: name of the repair that removes the finding, or None.
        since: first version of npugate that has the rule.
        unreadable: True when a hit means that the model could not be examined.
    """

    id: str
    name: str
    severity: Severity
    doc: str
    sources: tuple[str, ...]
    check: Check
    examples: tuple[Example, ...]
    repair: str | None = None
    since: str = "0.1.0"
    unreadable: bool = False

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.doc.strip().partition("\n")[0]


class InterfaceChange(Struct, frozen=True):
    """An input or output of the model that a repair declared anew.

    Attributes:
        name: of the value; it never changes.
        before, after: the shapes, for example ``[N, 3, 8, 8]``.
    """

    name: str
    before: str
    after: str


class Applied(Struct, frozen=True):
    """A repair edited the model.

    Attributes:
        edits: what was done, one sentence each, without a full stop.
        interface: inputs and outputs with another shape than before.
        per_sample: number of samples of the original's batch that the result computes one at a
            time; 1 when the batch is what it was.
    """

    edits: tuple[str, ...]
    interface: tuple[InterfaceChange, ...] = ()
    per_sample: int = 1


class Skipped(Struct, frozen=True):
    """A repair had nothing to do; the model is untouched."""

    reason: str


class Declined(Struct, frozen=True):
    """A repair had something to do and no equivalent to put there; the model is dropped."""

    reason: str


RepairResult = Applied | Skipped | Declined


class RepairOptions(Struct, frozen=True):
    """What a user may ask of the repairs.

    Attributes:
        prefer_rank: largest rank wanted; None takes the target's ``rank_max``.
        shapes: name of an input -> the shape it gets.
        batch_strategy: ``auto``, ``channels``, ``spatial`` or ``unroll``.
        weight_budget_bytes: most int8 bytes that copies of weights may add.
        unroll_nodes: most nodes that unrolling may make.
        opset: version of ai.onnx wanted; None converts to the target's advice, and only a model
            whose version the target does not read.
        shelf: of the repair that is under way: has the large weights that its message has tickets
            for. Only what reads the elements of a weight needs it.
    """

    prefer_rank: int | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    batch_strategy: str = "auto"
    weight_budget_bytes: int = 512 * 1024
    unroll_nodes: int = 2000
    opset: int | None = None
    shelf: Shelf | None = None


EditMessage = Callable[["ModelProto", "Target", RepairOptions], RepairResult]
EditDraft = Callable[["Draft", "Target", RepairOptions], RepairResult]


class Repair(Struct, frozen=True):
    """One edit that leaves the numbers alone, declared by one file in ``fixers/`` as ``REPAIR``.

    It edits the copy it is handed, says each edit in one sentence, and declines with a reason
    rather than guess. It never saves, verifies or looks at findings: ``repair.py`` does.

    Attributes:
        name: kebab-case; equals the file's name with hyphens; a verb phrase.
        doc: the module's docstring: summary line, **Keeps.**, **Declines.**.
        edit: works on a linked draft; None when ``edit_message`` is given.
        edit_message: works on the bare message, for models that cannot be linked yet.
        after: names of repairs that run before this one when both run.
        needs: names of repairs that are tried before this one whenever it runs.
        legalises: True when it makes a refused file legal and touches no node, attribute or weight;
            that is then its proof, since there is nothing to run it against.
        example: ONNX text of a model that it changes, for the tests and the docs.
        since: first version of npugate that has it.
    """

    name: str
    doc: str
    edit: EditDraft | None = None
    edit_message: EditMessage | None = None
    after: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    legalises: bool = False
    example: str = ""
    since: str = "0.1.0"

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.doc.strip().partition("\n")[0]


class Problem(Struct, frozen=True):
    """A fault found on the way to the facts (reading, structure, inference); a rule reports it.

    Attributes:
        rule: kebab-case name of the rule that owns this kind of fault.
    """

    rule: str
    location: Location
    message: str
    frames: tuple[Frame, ...] = ()


class Limits(Struct, frozen=True):
    """Bounds that keep a hostile file from costing more than a finding.

    Attributes:
        model_bytes: largest model file read.
        nodes: most nodes, counted after inlining local functions.
        depth: deepest nesting of subgraphs and of calls of local functions.
        fold_elements: largest tensor that partial evaluation may compute, in elements.
        memory_bytes: address space of the process that examines one model.
        seconds: wall clock for one model.
    """

    model_bytes: int = 4 * 1024**3
    nodes: int = 200_000
    depth: int = 32
    fold_elements: int = 65_536
    memory_bytes: int = 6 * 1024**3
    seconds: float = 60.0


class Census(Struct, frozen=True):
    """What a model is, in a few figures, for the reports."""

    ir_version: int = 0
    opset: int = 0
    producer: str = ""
    nodes: int = 0
    quantized: str = "float"
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    domains: Mapping[str, int] = field(default_factory=dict)
