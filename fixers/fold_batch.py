"""Run layers on one sample at a time that run on a batch of N.

A network that folds frames, regions or windows into the batch has convolutions and pools on N
samples, and the accelerator takes one. Three forms compute the same: the samples among the channels
(N times the groups), stacked along the height with empty rows between, or one after another. Which
one is chosen and what it costs is in the report; `--batch-strategy` forces one.

    channels:  x[N, C, H, W] => x[1, N*C, H, W],  w => w repeated N times,  group => N * group
    spatial:   x[N, C, H, W] => x[1, C, N*P, W],  P >= H rows a sample, those beyond H are 0
    unroll:    f(x) => concat(f(x[0]), ..., f(x[N-1]))

**Keeps.** The numbers of every layer, quantised ones bit by bit: weights, scales, zero points and
biases are repeated as they are.

**Declines.** A layer that no form covers: DeformConv and the QOperator form, shapes known only at
run time, a MaxPool that returns indices, copies of weights over the budget together with more
nodes than wanted. Then split the model there, and let the host run the first half once for each
sample.
"""

from __future__ import annotations

from collections.abc import Sequence

from npugate.api import Applied, Declined, Repair, RepairOptions, RepairResult, Skipped, Target
from npugate.surgery import views
from npugate.surgery.batch.choice import Choice, choose
from npugate.surgery.batch.regions import Region, find, samples_of, without_form
from npugate.surgery.draft import Draft
from npugate.surgery.node import Node

_ADVICE = "split the model at this region and let the host run it once for each sample"


def apply(draft: Draft, target: Target, options: RepairOptions) -> RepairResult:
    """Choose a form for every region first; change the model only when each has one."""
    layers = [node for node in draft.nodes if samples_of(draft, node) > 1]
    other = without_form(draft)
    if other is not None:
        return Declined(f"{other.op} {other.label!r} has no form on one sample; {_ADVICE}")
    if not layers:
        return Skipped("every layer runs on one sample")
    regions = find(draft)
    fault = _left_over(layers, regions)
    if fault:
        return Declined(fault)
    choices: list[Choice] = []
    spent = 0
    for region in regions:
        choice = choose(draft, region, target, options, spent)
        if choice.form is None:
            return Declined(_refusal(region, choice))
        spent += choice.form.cost.added_bytes
        choices.append(choice)
    edits = [_edit(region, choice) for region, choice in zip(regions, choices, strict=True)]
    for choice in choices:
        if choice.form is not None:
            choice.form.apply()
    views.fuse(draft)
    return Applied(tuple(edits))


def _left_over(layers: Sequence[Node], regions: Sequence[Region]) -> str:
    """Say which layer is in no region: its samples cannot be separated."""
    found = {id(node) for region in regions for node in region.layers}
    for node in layers:
        if id(node) not in found:
            made = len(node.used_outputs())
            why = f"it has {made} outputs" if made > 1 else "not all of its shapes are static"
            return f"{node.op} {node.label!r} has no form on one sample: {why}; {_ADVICE}"
    return ""


def _refusal(region: Region, choice: Choice) -> str:
    tried = "; ".join(choice.reasons)
    return f"no form for {region.samples} samples from {region.label!r} on: {tried}; {_ADVICE}"


def _edit(region: Region, choice: Choice) -> str:
    assert choice.form is not None, "a region without a form was declined"  # noqa: S101 - above
    names = ", ".join(node.label for node in region.layers[:3])
    more = (
        f" and {len(region.layers) - 3} more" if len(region.layers) > len(region.layers[:3]) else ""
    )
    passed = f" (passed over: {'; '.join(choice.reasons)})" if choice.reasons else ""
    return (
        f"{region.samples} samples of {names}{more} run as one by the strategy"
        f" {choice.form.strategy!r}: {choice.form.cost}{passed}"
    )


REPAIR = Repair(
    name="fold-batch",
    doc=__doc__,
    edit=apply,
    needs=(
        "make-legal",
        "inline-functions",
        "set-static-shapes",
        "fold-constants",
        "use-global-pools",
    ),
    after=("take-one-sample", "lower-rank", "use-global-pools"),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 24, 8, 8] x) => (float[8, 4, 8, 8] y)
        <int64[4] fold = {8, 3, 8, 8}, float[4, 3, 1, 1] w> {
            h = Reshape (x, fold)
            y = Conv (h, w)
        }
    """,
)
