"""The planner: live buffers lie apart, inside their memory, and need no less than the bound."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npugate.estimate.planner import live, place, used
from npugate.report.estimate import Buffer
from npugate.target import boards, memories
from npugate.target.memories import Bank, Board

DK = boards.load("stm32n6570-dk")
KIB = 1024
NETWORKS = st.lists(
    st.tuples(st.integers(1, 900 * KIB), st.integers(-1, 30), st.integers(0, 12)), max_size=40
)


def network(rows):
    return [Buffer(f"t{n}", size, at, at + more) for n, (size, at, more) in enumerate(rows)]


def small(**sizes):
    """Return a board whose memories follow one another from address 0."""
    banks, start = [], 0
    for name, size in sizes.items():
        banks.append(Bank(name, start, size, 1.0))
        start += size
    return Board("small", "small", memories.ordered(banks))


@settings(max_examples=60, deadline=None)
@given(NETWORKS)
def test_a_plan_is_one_that_memory_can_hold(rows):
    plan = place(network(rows), DK)
    banks = {bank.name: bank for bank in DK.banks}
    spans = []
    for item in plan.buffers:
        assert item.pool, "the board has 34 MiB"
        start = banks[item.pool].address + item.offset
        spans.append((item, start, start + item.size_bytes))
        outside = banks[item.pool].is_external
        top = banks[item.pool].end if outside else 0x343C0000
        assert banks[item.pool].address <= start < start + item.size_bytes <= top
    for number, (one, start, end) in enumerate(spans):
        for two, begin, stop in spans[:number]:
            if one.first <= two.last and two.first <= one.last:
                assert end <= begin or stop <= start, (one, two)
    assert sum(plan.used.values()) >= max(live(plan.buffers, 50), default=0)
    assert used(plan.buffers, DK) == plan.used


@settings(max_examples=30, deadline=None)
@given(NETWORKS)
def test_a_plan_does_not_depend_on_the_order_of_the_buffers(rows):
    assert place(network(rows), DK) == place(network(rows)[::-1], DK)


@pytest.mark.parametrize(
    ("sizes", "pools"),
    [
        ((400, 300, 200), {"npuRAM5": 400, "npuRAM4": 300, "npuRAM3": 200}),
        ((448,), {"cpuRAM2": 448}),  # the last bytes of a memory stay free
        ((1176, 294), {"cpuRAM2": 1024, "npuRAM3": 152, "npuRAM5": 294}),
        ((2900,), {"hyperRAM": 2900}),
    ],
)
def test_buffers_go_to_the_first_memory_that_holds_them(sizes, pools):
    plan = place([Buffer(str(size), size * KIB, 0, 1) for size in sizes], DK)
    assert {name: size // KIB for name, size in plan.used.items() if size} == pools


def test_memory_is_used_again_once_its_tensor_is_dead():
    plan = place([Buffer("a", 64, 0, 1), Buffer("b", 64, 2, 3)], small(ram=128))
    assert [(item.tensor, item.offset) for item in plan.buffers] == [("a", 0), ("b", 0)]


def test_a_buffer_without_a_place_has_no_pool():
    plan = place([Buffer("a", 200, 0, 1)], small(one=128))
    assert (plan.buffers[0].pool, plan.used) == ("", {"one": 0})


def test_what_shares_memory_counts_once_for_its_whole_life():
    plan = place([Buffer("a", 64, 0, 1), Buffer("b", 64, 1, 5, shares="a")], small(ram=256))
    assert plan.used == {"ram": 64}
    assert live(plan.buffers, 6) == (64,) * 6


def test_what_takes_memory_for_longest_is_placed_first():
    plan = place([Buffer("large", 160, 5, 5), Buffer("long", 96, 0, 9)], small(ram=512))
    assert {b.tensor: b.offset for b in plan.buffers} == {"long": 0, "large": 96}
