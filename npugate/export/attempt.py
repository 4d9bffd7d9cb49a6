"""What one exporter comes to: written, brought to the wanted opset, repaired, held to PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import onnx
from msgspec import Struct
from msgspec.structs import replace
from onnx import ModelProto

from npugate.estimate import assemble
from npugate.export import agree
from npugate.export.agree import Reference
from npugate.export.values import Agreement, Attempt
from npugate.facts import Facts
from npugate.findings import rule_names
from npugate.findings.values import Hit, Severity
from npugate.limits import Limits
from npugate.repair import gate
from npugate.repair.context import RepairContext
from npugate.report.estimate import Engine
from npugate.rules import check, registry
from npugate.rules.values import Repair, Rule
from npugate.sandbox import pool
from npugate.settings.options import RepairRequest
from npugate.surgery import structure
from npugate.surgery.fold import fold
from npugate.surgery.linking import opset_of
from npugate.surgery.results import Declined, RepairOptions
from npugate.surgery.shapes import known_of
from npugate.target.values import Target

# A float model is what an export makes; quantising it is the next step.
_LATER: Final = frozenset({rule_names.FLOAT_MODEL})
_CONVERT: Final = "convert-opset"
_MODE: Final = 2  # the input of Dropout that says whether it trains
Hits = Sequence[tuple[str, Hit]]


class AttemptContext(Struct, frozen=True):
    """The target, rules and repairs that an attempt is checked with."""

    target: Target
    rules: Mapping[str, Rule]
    repairs: Mapping[str, Repair]
    limits: Limits

    @property
    def goal(self) -> int:
        """The operator set that the target's vendor recommends, or the newest that it reads."""
        for name in ("opset_recommended", "opset_max"):
            limit = self.target.limit(name)
            if limit is not None and isinstance(limit.value, int):
                return limit.value
        return 17

    def hits(self, facts: Facts) -> Hits:
        """Return what the rules find, without what only quantising changes."""
        chosen = [key for key, rule in self.rules.items() if rule.name not in _LATER]
        return check.run(facts, self.rules, chosen, self.target, pool.stage).hits

    def facts(self, model: ModelProto) -> Facts:
        """Return the facts of a model in memory."""
        return Facts(structure.skeleton(model), self.limits)


class Made(Struct, frozen=True):
    """A model with what is known of it.

    Attributes:
        before, after: the findings before and after repairs.
    """

    attempt: Attempt
    model: ModelProto
    before: Hits = ()
    after: Hits = ()


def context_of(target: Target, limits: Limits) -> AttemptContext:
    """Return the context of attempts for a target."""
    return AttemptContext(target, registry.rules(), registry.repairs(), limits)


def finish(
    written: ModelProto,
    exporter: str,
    by: AttemptContext,
    reference: Reference,
    asked: tuple[int, bool],
) -> Made:
    """Convert, repair, check and verify what an exporter wrote.

    Args:
        written: with its weights.
        exporter: its name.
        by: target, rules and repairs.
        reference: the module in PyTorch.
        asked: how many seeds, and whether to repair.
    """
    seeds, repairs = asked
    pool.stage(f"converting what {exporter} wrote")
    first = Attempt(exporter, opset_written=opset_of(written))
    model, converted = _converted(written, by)
    if model is None:
        return Made(replace(first, fault=converted), written)
    before = by.hits(by.facts(model))
    known = replace(first, converted=converted, errors_before=_count(before, Severity.ERROR))
    fault = _fault(model)
    if fault:
        return Made(_counted(replace(known, fault=fault), model, before, by), model, before, before)
    plain = _held(Made(known, model, before, before), by, reference, seeds)
    if not repairs or not plain.attempt.is_usable or not _calls(before, by):
        return plain
    pool.stage(f"repairing what {exporter} wrote")
    taken = ModelProto()
    taken.CopyFrom(model)
    outcome, _ = gate.repair_model(taken, by.facts(model), before, _repair_context(by))
    repaired = outcome.model
    if repaired is None or not _same_interface(model, repaired):
        return plain
    names = tuple(item.repair for item in outcome.report.outcomes if item.state == "applied")
    fixed = _held(
        Made(replace(known, repairs=names), repaired, before, outcome.hits), by, reference, seeds
    )
    return fixed if fixed.attempt.is_usable else plain


def _converted(written: ModelProto, by: AttemptContext) -> tuple[ModelProto | None, str]:
    """Return the model in the wanted operator set, or None, and what was done or why not."""
    model = ModelProto()
    model.CopyFrom(written)
    fold(model)
    before = opset_of(model)
    edit = by.repairs[_CONVERT].edit_message
    assert edit is not None, "convert-opset edits the message"  # noqa: S101 - ours
    result = edit(model, by.target, RepairOptions(opset=by.goal))
    if isinstance(result, Declined):
        return None, f"opset {before} cannot be brought to {by.goal}: {result.reason}"
    if opset_of(model) != by.goal:
        return None, f"it is in opset {opset_of(model)}, not {by.goal}"
    return model, "; ".join(getattr(result, "edits", ()))


def _fault(model: ModelProto) -> str:
    """Say why a model may not be written; empty when it may."""
    if not agree.is_static(model):
        return "an input or output has no fixed size: the size depends on the numbers"
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        if _is_training(node, constants):
            return f"{node.op_type} ({node.name}) is in training mode"
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        return f"the ONNX checker refuses it: {' '.join(str(error).split())[:300]}"
    return ""


def _is_training(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    if node.op_type == "BatchNormalization":
        return any(item.name == "training_mode" and item.i for item in node.attribute)
    if node.op_type != "Dropout" or len(node.input) <= _MODE or not node.input[_MODE]:
        return False
    mode = constants.get(node.input[_MODE])
    return mode is None or bool(onnx.numpy_helper.to_array(mode).any())


def _held(made: Made, by: AttemptContext, reference: Reference, seeds: int) -> Made:
    pool.stage("comparing with PyTorch")
    held: Agreement = agree.agree(made.model, reference, seeds)
    attempt = replace(
        _counted(made.attempt, made.model, made.after, by),
        agreement=held,
        fault="" if held.equal else f"it computes something else than PyTorch: {held.reason}",
    )
    return replace(made, attempt=attempt)


def _counted(attempt: Attempt, model: ModelProto, hits: Hits, by: AttemptContext) -> Attempt:
    cost = assemble.estimate(by.facts(model), by.target)
    return replace(
        attempt,
        opset=opset_of(model),
        nodes=len(model.graph.node),
        errors=_count(hits, Severity.ERROR),
        warnings=_count(hits, Severity.WARNING),
        cpu_operators=None if cost is None else cost.count(Engine.CPU),
    )


def _count(hits: Hits, level: Severity) -> int:
    return sum(1 for _, hit in hits if hit.severity is level)


def _calls(hits: Hits, by: AttemptContext) -> bool:
    """Tell whether a finding of warning and above has a repair."""
    return any(
        by.rules[rule].repair
        for rule, hit in hits
        if hit.severity is not None and hit.severity >= Severity.WARNING
    )


def _repair_context(by: AttemptContext) -> RepairContext:
    chosen = [key for key, rule in by.rules.items() if rule.name not in _LATER]
    return RepairContext(
        by.rules,
        chosen,
        by.target,
        by.limits,
        RepairRequest(by.repairs, RepairOptions(opset=by.goal)),
        stage=pool.stage,
    )


def _same_interface(left: ModelProto, right: ModelProto) -> bool:
    return all(
        known_of(a) == known_of(b)
        for a, b in (
            (left.graph.input, right.graph.input),
            (left.graph.output, right.graph.output),
        )
    )
