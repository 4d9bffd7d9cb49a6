"""Which form of a region is taken, and when the memory of the target decides."""

import pytest
from msgspec.structs import replace

from npugate.surgery.batch import choice, cost, regions
from npugate.surgery.draft import Draft
from npugate.surgery.results import RepairOptions
from tests.batched_models import Net
from tests.repaired import TARGET


def region_of_a_chain():
    net = Net(8, 0)
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
