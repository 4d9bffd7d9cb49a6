"""What an export is asked for and what it reports; free of onnx, numpy and torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct

EXPORTERS: Final = ("auto", "dynamo", "torchscript")
SEEDS: Final = 3


class ExportJob(Struct, frozen=True):
    """Everything that decides a result.

    Attributes:
        entry: ``module:callable`` or ``file.py:callable``; the callable takes nothing and returns a
            module and example inputs. Its code is run.
        output: where the model goes.
        weights: a state dict for the module; None keeps what the callable made.
        exporter: ``auto`` tries both and takes the better one.
        input_names, output_names: of the model; empty takes the parameters of ``forward``, and
            ``output``.
        seeds: of the inputs on which the model is compared with PyTorch; each gives four samples.
        repairs: False keeps what the exporter wrote, in the wanted operator set.
        target, toolchain: that the result is checked for.
        folder: from where the module is imported, and to which source lines are relative.
        seconds: wall clock for all of it.
    """

    entry: str
    output: Path
    weights: Path | None = None
    exporter: str = "auto"
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    seeds: int = SEEDS
    repairs: bool = True
    target: str = "stm32n6"
    toolchain: str | None = None
    folder: Path = Path()
    seconds: float = 900.0


class Advice(Struct, frozen=True):
    """What to write instead, so that a violation does not come up.

    Attributes:
        why: what the line becomes in the file.
        rewrite: what to write instead.
        guide: heading of ``docs/clean-export.md`` with the code; empty when it has none.
    """

    why: str
    rewrite: str
    guide: str = ""


class CodeFinding(Struct, frozen=True):
    """A violation in what the exporter wrote, before any repair.

    Attributes:
        rule, name: of the rule.
        level: ``error`` or ``warning``.
        message: of the rule.
        node: the place in the exported graph.
        file, line, text: of the Python that made the node; empty and 0 when not known.
        advice: None when there is no known rewrite.
        fixed: True when the written model does not have this rule's finding any more.
    """

    rule: str
    name: str
    level: str
    message: str
    node: str
    file: str = ""
    line: int = 0
    text: str = ""
    advice: Advice | None = None
    fixed: bool = False


class Agreement(Struct, frozen=True):
    """How the model compares with PyTorch itself.

    Attributes:
        equal: True when every output is within its limit on every sample.
        samples: that were compared.
        max_abs_error, tolerance: the largest, over outputs and samples.
        max_rel_error: the largest difference over the largest value of its output.
        reason: why it is not equal; else empty.
    """

    equal: bool
    samples: int
    max_abs_error: float = 0.0
    tolerance: float = 0.0
    max_rel_error: float = 0.0
    reason: str = ""


class Attempt(Struct, frozen=True):
    """What one exporter came to.

    Attributes:
        exporter: ``dynamo`` or ``torchscript``.
        fault: why there is no usable model; empty when there is one.
        where: the line of Python at which torch refused, ``file:line: text``; empty otherwise.
        advice: what to write instead of it; None when there is no known rewrite.
        opset_written: as the exporter wrote it; ``opset`` is that of the result.
        nodes: of the result.
        errors, warnings: of the target's rules, before repairs and after.
        cpu_operators: of the result, that leave the NPU; None when that cannot be estimated.
        repairs: names of those that were applied, with proof.
        converted: what bringing it to the wanted opset changed.
        agreement: with PyTorch; None when it did not come to that.
    """

    exporter: str
    fault: str = ""
    opset_written: int = 0
    opset: int = 0
    nodes: int = 0
    errors_before: int = 0
    errors: int = 0
    warnings: int = 0
    cpu_operators: int | None = None
    repairs: tuple[str, ...] = ()
    converted: str = ""
    agreement: Agreement | None = None
    where: str = ""
    advice: Advice | None = None

    @property
    def is_usable(self) -> bool:
        """True when it may be written."""
        return not self.fault and self.agreement is not None and self.agreement.equal


class ExportReport(Struct, frozen=True):
    """What was done and what it came to.

    Attributes:
        output: where the model was written; None when no attempt was usable.
        inputs, outputs: (name, type, shape) of the model.
        attempts: of each exporter that was tried, in order.
        chosen: the exporter whose model was taken; empty when none was.
        reason: why it was chosen.
        findings: of the chosen attempt, before repairs (of the last one when none was usable).
        left: (rule, message, node) of the errors that the written model still has.
        notices: what the user should know.
    """

    version: str
    entry: str
    output: str | None
    output_digest: str
    output_bytes: int
    target: str
    torch: str
    weights: str = ""
    weights_digest: str = ""
    inputs: tuple[tuple[str, str, str], ...] = ()
    outputs: tuple[tuple[str, str, str], ...] = ()
    attempts: tuple[Attempt, ...] = ()
    chosen: str = ""
    reason: str = ""
    findings: tuple[CodeFinding, ...] = ()
    left: tuple[tuple[str, str, str], ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def attempt(self) -> Attempt | None:
        """The one that was taken."""
        return next((item for item in self.attempts if item.exporter == self.chosen), None)

    @property
    def passed(self) -> bool:
        """True when a model was written and no error is left in it."""
        return bool(self.chosen) and not self.left

    @property
    def exit_code(self) -> int:
        """0, or 1 when nothing could be written or errors are left in what was."""
        return 0 if self.passed else 1
