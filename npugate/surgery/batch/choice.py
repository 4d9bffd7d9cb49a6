"""Choose how the batch of a region is split.

The order, each step only when the ones before it have no form or cost too much:

1. channels, when the copies of the weights fit into the budget: fewest nodes, no data is moved;
2. spatial, when every layer of the region can be stacked: no copies, more multiplications;
3. channels in parts, each of as many samples as the budget allows, one part after another;
4. unroll with shared weights, when the number of nodes allows it;
5. none, with the reasons.

When the activations of all samples together exceed the memory of the target and a part of them
does not, 3 and 4 come first: they alone hold less than the whole batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from msgspec import Struct

from npugate.surgery.batch import channels, cost, regions, spatial, stacking, unroll
from npugate.surgery.batch.cost import Cost
from npugate.surgery.batch.regions import Region
from npugate.surgery.draft import Draft
from npugate.surgery.node import NoFormError
from npugate.surgery.results import RepairOptions
from npugate.target.values import Target


class Form(Struct, frozen=True):
    """One form of a region that is exact.

    Attributes:
        strategy: its name.
        cost: what it costs.
        fault: why it is too dear; empty when it is not.
        apply: puts it in place.
    """

    strategy: str
    cost: Cost
    fault: str
    apply: Callable[[], None]


class Choice(Struct, frozen=True):
    """What was chosen for a region.

    Attributes:
        form: None when no form is exact and within its bounds.
        reasons: why each form before it was passed over.
    """

    form: Form | None
    reasons: tuple[str, ...]


class _Look(Struct, frozen=True):
    draft: Draft
    region: Region
    target: Target
    options: RepairOptions


def choose(
    draft: Draft, region: Region, target: Target, options: RepairOptions, spent: int
) -> Choice:
    """Return the first form that is exact and affordable, without changing the draft.

    Args:
        draft: holds the region.
        region: layers on one batch.
        target: says what memory there is and where operators run.
        options: the bounds, or one strategy that is forced whatever it costs.
        spent: bytes of the weight budget that other regions have taken.
    """
    look = _Look(draft, region, target, options)
    budget = options.weight_budget_bytes - spent
    reasons: list[str] = []
    for strategy, make in _order(look, budget):
        try:
            form = make()
        except NoFormError as error:
            reasons.append(f"{strategy}: {error}")
            continue
        if form.fault and options.batch_strategy == "auto":
            reasons.append(f"{strategy}: {form.fault}")
            continue
        return Choice(form, tuple(reasons))
    return Choice(None, tuple(reasons))


def _order(look: _Look, budget: int) -> Iterator[tuple[str, Callable[[], Form]]]:
    forms: dict[str, Callable[[], Form]] = {
        "channels": lambda: _channels(look, budget),
        "spatial": lambda: _spatial(look),
        "parts": lambda: _parts(look, budget),
        "unroll": lambda: _unroll(look),
    }
    if look.options.batch_strategy != "auto":
        forced = look.options.batch_strategy
        yield forced, forms[forced]
        return
    names = ["channels", "spatial", "parts", "unroll"]
    if _is_tight(look):
        names = ["parts", "unroll", "channels", "spatial"]
    for name in names:
        yield name, forms[name]


def _is_tight(look: _Look) -> bool:
    """Tell whether all samples together exceed the memory, and one at a time does not."""
    limit = look.target.limit("activation_bytes")
    if limit is None:
        return False
    whole = cost.peak(look.draft, look.region)
    return whole > limit.value >= _peak_in_parts(look, look.region.samples)


def _peak_in_parts(look: _Look, parts: int) -> int:
    """Estimate the peak of an unrolled region: its borders whole, one part inside."""
    return cost.borders(look.draft, look.region) + cost.peak(look.draft, look.region) // parts


def _channels(look: _Look, budget: int) -> Form:
    plan = channels.plan(look.draft, look.region)
    fault = ""
    if plan.added > budget:
        fault = f"{plan.added} bytes of copied weights, {budget} left of the budget"
    op_types = [str(node.op) for node in look.region.nodes]
    price = _price(look, plan.added, cost.peak(look.draft, look.region), op_types)
    return Form("channels", price, fault, lambda: channels.apply(look.draft, plan))


def _spatial(look: _Look) -> Form:
    plan = spatial.plan(look.draft, look.region)
    ratio = plan.pitch / plan.height
    whole = cost.peak(look.draft, look.region)
    op_types = [str(node.op) for node in look.region.nodes] + ["Transpose", "Pad", "Transpose"]
    price = _price(look, 0, int(whole * ratio), op_types, ratio)
    return Form("spatial", price, "", lambda: stacking.apply(look.draft, plan))


def _parts(look: _Look, budget: int) -> Form:
    """Fold as many samples into the channels as the budget allows, part by part."""
    whole = channels.plan(look.draft, look.region)
    samples = look.region.samples
    for parts in range(2, samples):
        added = whole.added * (samples // parts - 1) // (samples - 1)
        if samples % parts == 0 and added <= budget:
            plan = unroll.plan(look.draft, look.region, parts)
            form = _unrolled(look, plan, added)
            fold = functools.partial(_fold, look, plan)
            return Form(f"channels in {parts} parts", form.cost, form.fault, fold)
    raise NoFormError(f"no part of {samples} samples fits into the budget of {budget} bytes")


def _fold(look: _Look, plan: unroll.Plan) -> None:
    """Unroll into parts, then fold each of them."""
    before = set(look.draft.nodes)
    unroll.apply(look.draft, plan)
    for region in regions.find(look.draft):
        if before.isdisjoint(region.layers):
            channels.apply(look.draft, channels.plan(look.draft, region))


def _unroll(look: _Look) -> Form:
    return _unrolled(look, unroll.plan(look.draft, look.region, look.region.samples), 0)


def _unrolled(look: _Look, plan: unroll.Plan, added: int) -> Form:
    most = look.options.unroll_nodes
    fault = f"{plan.count} nodes, at most {most} are wanted" if plan.count > most else ""
    op_types = [str(node.op) for node in plan.nodes] * plan.parts
    price = _price(look, added, _peak_in_parts(look, plan.parts), op_types)
    return Form("unroll", price, fault, lambda: unroll.apply(look.draft, plan))


def _price(look: _Look, added: int, peak: int, op_types: list[str], ratio: float = 1.0) -> Cost:
    macs = int(cost.macs(look.draft, look.region) * ratio)
    return Cost(added, macs, peak, len(op_types), cost.cpu_nodes(look.target, op_types))
