"""What a form costs, figure by figure."""

import pytest

from npugate.surgery.batch import cost, regions
from tests.batched_models import draft_of
from tests.repaired import TARGET

X = "(float[3, 2, 4, 4] x) => (y)"
MAP = 3 * 4 * 4  # elements of one channel of all samples


def region_of(signature, constants, nodes):
    draft = draft_of(signature, constants, nodes)
    (region,) = regions.find(draft)
    return draft, region


@pytest.mark.parametrize(
    ("signature", "constants", "nodes", "macs"),
    [
        (X, "float[4, 2, 3, 3] w", "y = Conv (x, w)", 3 * 4 * 2 * 2 * 2 * 9),
        (X, "float[4, 1, 1, 1] w", "y = Conv <group = 2> (x, w)", 4 * MAP),
        (X, "float[2, 4, 3, 3] w", "y = ConvTranspose (x, w)", 2 * MAP * 4 * 9),
        (X, "", "y = MaxPool <kernel_shape = [2, 2]> (x)", 0),
        (X, "float[4, 2, 1, 1] w, float[4, 4, 1, 1] k", "t = Conv (x, w) y = Conv (t, k)",
         4 * MAP * 2 + 4 * MAP * 4),
    ],
)  # fmt: skip
def test_the_multiplications_of_a_region(signature, constants, nodes, macs):
    assert cost.macs(*region_of(signature, constants, nodes)) == macs


CONV = "float[4, 2, 1, 1] w, float[8, 4, 1, 1] k"


@pytest.mark.parametrize(
    ("nodes", "peak", "borders"),
    [
        # input and result live at once; a function of one element takes no room of its own
        ("y = Conv (x, w)", 6 * MAP, 6 * MAP),
        ("t = Conv (x, w) y = Relu (t)", 6 * MAP, 6 * MAP),
        # t and y, once x is dead
        ("t = Conv (x, w) y = Conv (t, k)", 12 * MAP, 10 * MAP),
        # x is read again at the end
        ("t = Conv (x, w) u = Conv (t, k) m = ReduceMax <axes = [1]> (u) y = Add (x, m)",
         14 * MAP, 4 * MAP),
        # t is handed on as well: it stays to the end
        (("t = Conv (x, w) u = Conv (t, k) m = ReduceMax <axes = [1]> (u)"
          " c = Transpose <perm = [1, 0, 2, 3]> (t) y = Concat <axis = 0> (c, c)"),
         13 * MAP, 6 * MAP),
        # a Relu beside another reader has a room of its own
        ("t = Conv (x, w) r = Relu (t) y = Add (t, r)", 12 * MAP, 6 * MAP),
    ],
)  # fmt: skip
def test_the_peak_and_the_borders_of_a_region(nodes, peak, borders):
    draft, region = region_of(X, CONV, nodes)
    assert (cost.peak(draft, region), cost.borders(draft, region)) == (peak, borders)


def test_operators_off_the_accelerator_are_counted():
    assert TARGET.operator("Softmax").runs_on in {"cpu", "none"}
    assert cost.cpu_nodes(TARGET, ["Conv", "Softmax", "Relu", "Softmax", "NoSuchOperator"]) == 2
    assert cost.cpu_nodes(TARGET, []) == 0


def test_a_cost_is_told_with_every_figure():
    assert str(cost.Cost(1, 2, 3, 4, 5)) == (
        "1 bytes of int8 weights added, 2 MACs, activation peak about 3 bytes, 4 nodes,"
        " 5 of them off the NPU"
    )
