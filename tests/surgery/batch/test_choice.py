"""Which form of a region is taken, and when the memory of the target decides."""

import pytest
from msgspec.structs import replace

from npugate.surgery.batch import choice, cost, regions
from npugate.surgery.draft import Draft
from npugate.surgery.results import RepairOptions
from tests.batched_models import Net
from tests.repaired import TARGET


def region_of_a_chain(samples=8):
    net = Net(samples, 0)
    net.conv(16, pads=[1] * 4)
    net.add("Relu", net.value)
    net.conv(8, pads=[1] * 4)
    draft = Draft(net.model())
    (region,) = regions.find(draft)
    return draft, region


def with_memory(size):
    """Return the target with this much memory for activations, or with no known limit."""
    limits = {name: limit for name, limit in TARGET.limits.items() if name != "activation_bytes"}
    if size is not None:
        limits["activation_bytes"] = replace(TARGET.limits["activation_bytes"], value=size)
    return replace(TARGET, limits=limits)


def test_one_part_at_a_time_comes_first_when_it_fits_and_the_whole_does_not():
    draft, region = region_of_a_chain()
    whole = cost.peak(draft, region)
    part = cost.borders(draft, region) + whole // 8
    assert (whole, part) == (8 * (16 + 8) * 144, 8 * (3 + 8) * 144 + 24 * 144)
    taken = {}
    for size in (whole + 1, whole, whole - 1, part, part - 1, None):
        options = RepairOptions()
        found = choice.choose(draft, region, with_memory(size), options, 0)
        taken[size] = found.form.strategy
    assert taken == {
        whole + 1: "channels",
        whole: "channels",
        whole - 1: "channels in 2 parts",
        part: "channels in 2 parts",
        part - 1: "channels",  # no form fits
        None: "channels",
    }


@pytest.mark.parametrize("spent", [0, 100])
def test_what_other_regions_took_is_no_longer_in_the_budget(spent):
    draft, region = region_of_a_chain()
    added = choice.choose(
        draft, region, with_memory(None), RepairOptions(), 0
    ).form.cost.added_bytes
    assert added == 7 * (16 * 3 * 9 + 16 + 8 * 16 * 9 + 8)
    for left, strategy in ((added, "channels"), (added - 1, "spatial")):
        options = RepairOptions(weight_budget_bytes=left + spent)
        found = choice.choose(draft, region, with_memory(None), options, spent)
        assert found.form.strategy == strategy
    assert found.reasons == (
        f"channels: {added} bytes of copied weights, {left} left of the budget",
    )


CONV_MACS = 8 * 144 * (16 * 3 * 9 + 8 * 16 * 9)
WHOLE = 8 * 144 * (16 + 8)
PART = 8 * 144 * (3 + 8) + WHOLE // 8
PRICES = {
    "channels": (11256, CONV_MACS, WHOLE, 3),
    # a stack of 13 rows a sample for 12: as much more to compute, and three nodes to make it
    "spatial": (0, int(CONV_MACS * (13 / 12)), int(WHOLE * (13 / 12)), 6),
    "unroll": (0, CONV_MACS, PART, 24),
}


@pytest.mark.parametrize("strategy", PRICES)
def test_a_form_is_told_with_its_price(strategy):
    draft, region = region_of_a_chain()
    options = RepairOptions(batch_strategy=strategy)
    form = choice.choose(draft, region, with_memory(None), options, 0).form
    added, macs, peak, nodes = PRICES[strategy]
    assert (form.strategy, form.fault) == (strategy, "")
    assert form.cost == cost.Cost(added, macs, peak, nodes, 0)


@pytest.mark.parametrize(
    ("samples", "budget", "strategy"),
    [
        (8, 3, "channels in 2 parts"),  # three copies more of every weight
        (8, 1, "channels in 4 parts"),
        (6, 2, "channels in 2 parts"),
        (6, 1, "channels in 3 parts"),
        (9, 2, "channels in 3 parts"),  # two parts would not be equal
        (5, 3, "unroll"),
        (8, 0, "unroll"),
    ],
)
def test_as_many_samples_are_folded_as_the_budget_allows(samples, budget, strategy):
    draft, region = region_of_a_chain(samples)
    weights = 16 * 3 * 9 + 16 + 8 * 16 * 9 + 8
    options = RepairOptions(weight_budget_bytes=budget * weights)
    memory = with_memory(cost.peak(draft, region) - 1)
    found = choice.choose(draft, region, memory, options, 0)
    assert found.form.strategy == strategy
    if strategy != "unroll":
        parts = int(strategy.split()[2])
        assert found.form.cost.added_bytes == weights * (samples // parts - 1)
        assert found.form.cost.nodes == 3 * parts
    else:
        bytes_left = budget * weights
        assert found.reasons == (
            f"parts: no part of {samples} samples fits into the budget of {bytes_left} bytes",
        )


def test_a_form_of_too_many_nodes_is_passed_over():
    draft, region = region_of_a_chain()
    memory = with_memory(cost.peak(draft, region) - 1)
    for most, strategy in ((24, "unroll"), (23, "spatial")):
        options = RepairOptions(weight_budget_bytes=0, unroll_nodes=most)
        assert choice.choose(draft, region, memory, options, 0).form.strategy == strategy


def test_parts_come_third_when_memory_is_no_matter():
    draft, region = region_of_a_chain()
    order = [name for name, _ in choice._order(_look(draft, region, None), 0)]
    assert order == ["channels", "spatial", "parts", "unroll"]
    tight = _look(draft, region, cost.peak(draft, region) - 1)
    order = [name for name, _ in choice._order(tight, 0)]
    assert order == ["parts", "unroll", "channels", "spatial"]


def _look(draft, region, size):
    return choice._Look(draft, region, with_memory(size), RepairOptions())
