"""Repair a copy of a model, and keep it only when it is shown to be the same model.

The gate, each point a reason to drop a copy: the ONNX checker and strict inference pass; the
repair's own findings are fewer and no rule has a new error; the interface is what it was unless the
repair says otherwise; applied again, the repair does nothing; the numbers agree with the original
at the outputs and at the output of every rewritten region.

The repairs are first applied in a row, each through the structural points, and the result goes
through the findings and the numbers once. Only when that fails are they taken one at a time, each
through the whole gate, so that one bad repair costs no other.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Sequence
from math import prod
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace
from onnx import ModelProto

from npugate import log
from npugate.estimate.counting import total_macs
from npugate.estimate.model_size import model_size
from npugate.facts import Facts
from npugate.findings.values import Hit, Severity
from npugate.proof.tally import pairs
from npugate.proof.verify import verify
from npugate.repair.context import RepairContext
from npugate.repair.graph_diff import diff
from npugate.repair.order import in_order
from npugate.repair.values import Repaired
from npugate.report.values import Outcome, RepairReport, Verification
from npugate.rules import check
from npugate.rules.values import Repair
from npugate.surgery import scales, structure
from npugate.surgery.draft import Draft
from npugate.surgery.lineage import Lineage
from npugate.surgery.linking import names_in
from npugate.surgery.node import EditError, NoFormError
from npugate.surgery.results import Applied, Declined, RepairResult, Skipped
from npugate.surgery.shapes import InferenceRefusedError
from npugate.surgery.weight_store import WeightStore

_PROTOBUF_BYTES: Final = 2**31 - 1
_HEAVY: Final = 1 << 22  # elements of all weights
_ROUNDS: Final = 3  # one repair may uncover what another one removes
Hits = Sequence[tuple[str, Hit]]


class _State(Struct):
    """A model on its way.

    Attributes:
        model: as the last repair that was kept left it; never edited, each repair gets a copy.
        applied: repairs that were kept, in order.
        outcomes: by name of the repair.
        store: has the large weights of both models.
        facts: of the model, once somebody asked.
    """

    original: ModelProto
    model: ModelProto
    lineage: Lineage
    store: WeightStore
    applied: list[str] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    per_sample: int = 1
    draft: Draft | None = None
    facts: Facts | None = None


def repair_model(
    original: ModelProto, facts: Facts, hits: Hits, context: RepairContext
) -> tuple[Repaired, Facts | None]:
    """Apply every repair that a finding calls for and that passes the gate.

    Args:
        original: with its weights; taken over, as its large ones leave it.
        facts: of the original.
        hits: what the rules found in it.
        context: rules, target, limits and what was asked for.

    Returns:
        What came of it, and the facts of the repaired model, None when nothing was applied.
    """
    before = model_size(facts, context.target)
    store = WeightStore()
    original = store.take(original)
    request = replace(context.request, options=replace(context.request.options, store=store))
    context = replace(context, request=request)
    state = _State(original, original, Lineage(frozenset(names_in(original))), store)
    after_hits, verification = hits, None
    for _ in range(_ROUNDS):
        order = in_order(
            context.wanted(after_hits) - state.outcomes.keys(), context.request.repairs
        )
        order = [name for name in order if name not in state.outcomes]
        if not order:
            break
        state, after_hits, verification = _round(state, order, hits, context, verification)
    outcomes = tuple(state.outcomes.values())
    if not state.applied:
        report = RepairReport(outcomes, verification, (), before, before)
        return Repaired(b"", tuple(hits), report), None
    after = model_size(_facts(state, context), context.target)
    lines = tuple(diff(original, state.model))
    store.keep([state.model])
    report = RepairReport(outcomes, verification, (), before, after, lines)
    data = store.serialized(state.model)
    store.keep([])  # whatever still holds the store, rings of nodes for one
    return Repaired(data, tuple(after_hits), report), _facts(state, context)


def _round(
    state: _State,
    order: Sequence[str],
    hits: Hits,
    context: RepairContext,
    verification: Verification | None,
) -> tuple[_State, Hits, Verification | None]:
    """Try some repairs in a row; one at a time when the row does not pass."""
    row = _fork(state)
    for name in order:
        _step(row, name, context)
    fresh = [name for name in row.applied if name not in state.applied]
    if not fresh:
        return row, _hits(row, context), verification
    verdict = _accept(row, fresh, hits, context)
    if not isinstance(verdict, str):
        return row, *verdict
    return _one_at_a_time(state, order, hits, context, verification)


def _one_at_a_time(
    state: _State,
    order: Sequence[str],
    hits: Hits,
    context: RepairContext,
    verification: Verification | None,
) -> tuple[_State, Hits, Verification | None]:
    after = _hits(state, context)
    state.store.keep([state.original, state.model])
    for name in order:
        attempt = _fork(state)
        _step(attempt, name, context)
        if name not in attempt.applied:
            state.outcomes[name] = attempt.outcomes[name]
            continue
        verdict = _accept(attempt, [name], hits, context)
        if isinstance(verdict, str):
            unverified = verdict.startswith(_UNVERIFIED)
            reason = verdict.removeprefix(_UNVERIFIED)
            word = "unverified" if unverified else "declined"
            state.outcomes[name] = replace(attempt.outcomes[name], state=word, reason=reason)
        else:
            state, (after, verification) = attempt, verdict
    return state, after, verification


_UNVERIFIED: Final = "unverified: "


def _accept(
    state: _State, fresh: Sequence[str], hits: Hits, context: RepairContext
) -> tuple[Hits, Verification] | str:
    """Hold a repaired model to its findings and its numbers; return the reason it fails."""
    try:
        return _checked_and_proved(state, fresh, hits, context)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - what cannot be proved is dropped, not the model
        return _crashed("the proof", error)


def _checked_and_proved(
    state: _State, fresh: Sequence[str], hits: Hits, context: RepairContext
) -> tuple[Hits, Verification] | str:
    state.draft = None
    if state.store.size_of(state.model) > _PROTOBUF_BYTES:
        return "the repaired model has more than 2 GiB, which no protobuf reader takes"
    if sum(prod(tensor.dims) for tensor in state.model.graph.initializer) > _HEAVY:
        gc.collect()  # drafts are rings of nodes and values, and each holds the weights once more
    context.stage("checking the repaired model")
    after = _hits(state, context)
    fault = _worse(hits, after, fresh, context)
    if fault:
        return fault
    context.stage("verifying the repaired model")
    verification = _verified(state, context)
    if verification.equal is None and all(
        context.request.repairs[n].legalises for n in state.applied
    ):
        parts = Verification(equal=True, reason=verification.reason, reference="parts")
        return after, parts  # held to the same nodes, attributes and weights in _step
    if verification.equal is None:
        return _UNVERIFIED + verification.reason
    if not verification.equal:
        return f"the numbers differ: {verification.reason}"
    return after, verification


def _worse(before: Hits, after: Hits, fresh: Iterable[str], context: RepairContext) -> str:
    """Say which rule has a new error, or which repair removed none of its findings."""
    old, new = _errors(before), _errors(after)
    for rule, count in new.items():
        if count > old[rule]:
            name = context.rules[rule].name
            return f"{name} has {count} errors in the repaired model, {old[rule]} in the original"
    for name in fresh:
        had, left = _called_for(before, name, context), _called_for(after, name, context)
        if had and left >= had:
            return f"{sum(left)} of the {sum(had)} findings that {name} is for are still there"
    return ""


def _called_for(hits: Hits, name: str, context: RepairContext) -> tuple[int, ...]:
    """Return how many findings a repair is for, worst level first: fewer errors count most."""
    counts = Counter(hit.severity for rule, hit in hits if context.rules[rule].repair == name)
    return tuple(counts[level] for level in sorted(Severity, reverse=True)) if counts else ()


def _errors(hits: Hits) -> Counter[str]:
    return Counter(rule for rule, hit in hits if hit.severity is Severity.ERROR)


def _step(state: _State, name: str, context: RepairContext) -> None:
    """Apply one repair to the model of a state; keep it when its structure is sound."""
    repair = context.request.repairs[name]
    context.stage(f"the repair {name}")
    try:
        result, model = _tried(state, repair, context)
    except (EditError, InferenceRefusedError, NoFormError) as error:
        result, model = Declined(str(error)), None
    except MemoryError:
        raise  # the bound of this process, not a fault of the repair
    except Exception as error:  # noqa: BLE001 - a fault in one repair costs that repair alone
        # A file that is no ONNX model may lack whatever a repair reads.
        refused = structure.refusal(state.model)
        result, model = Declined(refused or _crashed(f"the repair {name}", error)), None
    if isinstance(result, Applied) and model is not None:
        _keep(state, repair, model, result)
    if not isinstance(result, Applied | Skipped):
        state.draft = None
    state.outcomes[name] = _outcome(name, result)


def _crashed(what: str, error: Exception) -> str:
    log.error(f"{what} failed: {log.traceback()}")
    words = " ".join(str(error).split())[:200]
    return f"npugate itself failed in {what}: {type(error).__name__}: {words}"


def _tried(
    state: _State, repair: Repair, context: RepairContext
) -> tuple[RepairResult, ModelProto | None]:
    """Apply a repair to a copy of the model; decline a result whose structure is not sound."""
    result, model = _apply(state, repair, context)
    if not isinstance(result, Applied) or model is None:
        return result, None
    fault = structure.fault(state.model, model, result.interface)
    fault = fault or scales.invented(state.model, model, state.store)
    if repair.legalises and not structure.same_parts(state.model, model):
        fault = "it changed a node, an attribute or a weight on the way to a legal file"
    if not fault and not isinstance(_again(state, model, repair, context), Skipped):
        fault = "it is not done when it is done: a second time finds work again"
    if fault:
        return Declined(fault), None
    floats = scales.added(state.model, model)
    return replace(result, edits=(*result.edits, floats)) if floats else result, model


def _keep(state: _State, repair: Repair, model: ModelProto, result: Applied) -> None:
    state.model, state.facts = state.store.take(model), None
    state.applied.append(repair.name)
    state.per_sample = max(state.per_sample, result.per_sample)
    if repair.edit_message is not None:
        state.draft = None  # it is of the model before this


def _apply(
    state: _State, repair: Repair, context: RepairContext
) -> tuple[RepairResult, ModelProto | None]:
    if repair.edit_message is not None:
        copy = _copy(state.model)
        result = repair.edit_message(copy, context.target, context.request.options)
        return result, copy if isinstance(result, Applied) else None
    draft = _draft(state)
    draft.repair = repair.name
    assert repair.edit is not None, f"{repair.name} declares nothing to do"  # noqa: S101 - registry checks it
    result = repair.edit(draft, context.target, context.request.options)
    if not isinstance(result, Applied):
        return result, None
    state.draft = None
    return result, draft.finish()


def _draft(state: _State) -> Draft:
    if state.draft is None:
        state.draft = Draft(_copy(state.model), state.lineage, state.store)
    return state.draft


def _again(
    state: _State, model: ModelProto, repair: Repair, context: RepairContext
) -> RepairResult:
    """Apply a repair to its own result; a draft that it leaves alone serves the next repair."""
    if repair.edit_message is not None:
        return repair.edit_message(_copy(model), context.target, context.request.options)
    state.draft = Draft(_copy(model), state.lineage, state.store)
    state.draft.repair = repair.name
    assert repair.edit is not None, f"{repair.name} declares nothing to do"  # noqa: S101 - registry checks it
    return repair.edit(state.draft, context.target, context.request.options)


def _outcome(name: str, result: RepairResult) -> Outcome:
    match result:
        case Applied(edits, interface):
            return Outcome(name, "applied", "", edits, interface)
        case Skipped(reason):
            return Outcome(name, "skipped", reason)
        case Declined(reason):
            return Outcome(name, "declined", reason)


def _verified(state: _State, context: RepairContext) -> Verification:
    found_pairs = pairs(state.original, state.model, state.lineage)
    work = total_macs(_facts(state, context))
    rest = found_pairs, context.request.data, state.per_sample, work
    found = verify(state.original, state.model, *rest, store=state.store)
    legalising = [name for name in state.applied if context.request.repairs[name].legalises]
    if found.equal is None and legalising:
        legal = _legalised(state.original, legalising, context)
        again = verify(legal, state.model, *rest, store=state.store)
        return replace(again, reference="legalised")
    return found


def _legalised(original: ModelProto, names: Iterable[str], context: RepairContext) -> ModelProto:
    """Make the original legal once more: kept from the start, it would hold the weights, too."""
    model = _copy(original)
    for name in names:
        edit = context.request.repairs[name].edit_message
        assert edit is not None, f"{name} makes a file legal without a message"  # noqa: S101 - registry checks it
        edit(model, context.target, context.request.options)
    return model


def _hits(state: _State, context: RepairContext) -> Hits:
    facts = _facts(state, context)
    return check.run(facts, context.rules, context.chosen, context.target, context.stage).hits


def _facts(state: _State, context: RepairContext) -> Facts:
    if state.facts is None:
        state.facts = Facts(structure.skeleton(state.model), context.limits)
    return state.facts


def _fork(state: _State) -> _State:
    lineage = Lineage(state.lineage.names, dict(state.lineage.links))
    return replace(
        state,
        lineage=lineage,
        applied=list(state.applied),
        outcomes=dict(state.outcomes),
        draft=None,
    )


def _copy(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy
