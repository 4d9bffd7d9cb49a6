"""The bytes that a repeated parameter adds, and when there is no repeating."""

import pytest

from npugate.surgery.batch import tiling
from npugate.surgery.node import NoFormError
from tests.batched_models import draft_of

CONSTANTS = """
    float[4, 2] f, int8[4, 2] q, int16[4, 2] h, float s = {0.5}, float[4] ss, float[2] st,
    int8 z = {0}, int8[4] zz, int8[2] zt, int16 v = {0}
"""


@pytest.mark.parametrize(
    ("line", "axis", "added"),
    [
        ("w = Identity (f)", 0, 2 * 8),  # a byte an element after the quantisation
        ("w = DequantizeLinear (q, s, z)", 0, 2 * 8),
        ("w = DequantizeLinear (h, s, v)", 0, 2 * 16),
        ("w = DequantizeLinear <axis = 0> (q, ss, zz)", 0, 2 * (8 + 4 + 4)),
        ("w = DequantizeLinear <axis = -2> (q, ss, zz)", 0, 2 * (8 + 4 + 4)),
        ("w = DequantizeLinear (q, st, zt)", 0, 2 * 8),  # along the other axis
        ("w = DequantizeLinear (q, st, zt)", 1, 2 * (8 + 2 + 2)),
    ],
)
def test_a_copy_adds_what_runs_along_the_axis(line, axis, added):
    draft = draft_of("(float[4, 2] x) => (y)", CONSTANTS, f"{line} y = Add (x, w)", opset=21)
    assert tiling.added_bytes(draft, draft.nodes[1].inputs[1], axis, 3) == added


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("w = Relu (f)", "'w' is not constant"),
        ("w = DequantizeLinear (q, sx)", "no constant vector"),
        ("w = DequantizeLinear <block_size = 2> (q, ss)", "no constant vector"),
        ("w = Identity (s)", "has 0 dimensions"),
    ],
)
def test_what_is_no_constant_of_that_axis_is_not_copied(line, why):
    draft = draft_of("(float[4, 2] x, float sx) => (y)", CONSTANTS, f"{line} y = Add (x, w)", 21)
    with pytest.raises(NoFormError, match=why):
        tiling.added_bytes(draft, draft.nodes[1].inputs[1], 0, 3)


def test_layers_that_share_a_parameter_share_its_copies():
    draft = draft_of("(float[4, 2] x) => (y)", "float[4, 2] f", "y = Add (x, f)")
    made, value = {}, draft.nodes[0].inputs[1]
    copies = tiling.tile(draft, value, 0, 3, made)
    assert tiling.tile(draft, value, 0, 3, made) is copies
    assert tiling.tile(draft, value, 1, 3, made) is not copies
    assert draft.array(copies).shape == (12, 2)
    assert (draft.array(copies)[4:8] == draft.array(value)).all()
