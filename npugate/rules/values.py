"""What a rule, its examples and a repair declare.

Nothing here imports onnx or numpy when it runs, so that ``--help`` stays free of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from npugate.findings.values import Hit, Severity
from npugate.surgery.results import RepairOptions, RepairResult

if TYPE_CHECKING:  # annotations only: these import onnx and numpy
    from onnx import ModelProto

    from npugate.facts import Facts
    from npugate.surgery.draft import Draft
    from npugate.target.values import Target


class Example(Struct, frozen=True):
    """A pair of models that shows a rule: the tests run it and the docs print it.

    Attributes:
        title: what the bad model does, as a short phrase.
        bad: ONNX text; parameters declared without data are filled from a fixed seed.
        messages: the exact messages of this rule on the bad model, in order.
        good: ONNX text of the nearest clean model; clean under *every* rule (notes allowed).
        target: profile to check for, ``name`` or ``name@toolchain``.
        board: whose memories to fill; empty for the default one.
        budget: what the estimate must keep to, as in the configuration.
        tracked: the files of that folder that git tracks; empty for no git.
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
    tracked: tuple[str, ...] = ()


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
