"""What onnxruntime refuses is named, what it runs is not: a seeded sample of changed models.

The whole is a command, `tools/differential.py`; its figures are in docs/contradictions.md.
"""

import io

import numpy as np
import pytest

from tests.parameter_models import text
from tools import differential
from tools.differential import Case, Row
from tools.mutations import mutate

IMAGE = "(float[1, 4, 8, 8] x) => (float[N, C, H, W] y)"
MATRIX = "(float[2, 8] x) => (float[M, N] y)"
STATISTICS = "float[4] a, float[4] b, float[4] m, float[4] v"
MODELS = {
    "conv": (IMAGE, "float[6, 2, 3, 3] w, float[6] b", "y = Conv <group = 2> (x, w, b)"),
    "transposed": (IMAGE, "float[4, 3, 2, 2] w, float[3] b", "y = ConvTranspose (x, w, b)"),
    "pool": (IMAGE, "float u", "y = MaxPool <kernel_shape = [2, 2], pads = [0, 0, 1, 1]> (x)"),
    "batch": (IMAGE, STATISTICS, "y = BatchNormalization (x, a, b, m, v)"),
    "instance": (IMAGE, "float[4] a, float[4] b", "y = InstanceNormalization (x, a, b)"),
    "slope": (IMAGE, "float[4, 1, 1] s", "y = PRelu (x, s)"),
    "resize": (IMAGE, "float[4] s = {1, 1, 2, 2}", "y = Resize (x, , s)"),
    "gemm": (MATRIX, "float[8, 4] w, float[4] c", "y = Gemm (x, w, c)"),
    "matmul": (MATRIX, "float[8, 4] w", "y = MatMul (x, w)"),
    "reshape": (MATRIX, "int64[2] s = {4, 4}", "y = Reshape (x, s)"),
    "pad": (MATRIX, "int64[4] p = {0, 1, 0, 1}", "y = Pad (x, p)"),
    "gather": (MATRIX, "int64[2] i = {0, 7}", "y = Gather <axis = 1> (x, i)"),
    "slice": (
        MATRIX,
        "int64[1] s = {1}, int64[1] e = {8}, int64[1] a = {1}, int64[1] t = {2}",
        "y = Slice (x, s, e, a, t)",
    ),
    "lstm": (
        "(float[5, 1, 3] x) => (float[5, D, 1, H] y)",
        "float[1, 16, 3] w, float[1, 16, 4] r, float[1, 32] b",
        "y = LSTM <hidden_size = 4> (x, w, r, b)",
    ),
    "quantised": (
        "(float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)",
        "float[4] s = {0.1, 0.2, 0.3, 0.4}, int8[4] z = {0, 0, 0, 0}",
        "q = QuantizeLinear <axis = 1> (x, s, z) y = DequantizeLinear <axis = 1> (q, s, z)",
    ),
}
MUTANTS = 40
MISSED = 0.01


def rows(name: str) -> list[Row]:
    model = text(*MODELS[name])
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": np.random.default_rng(0).random(shape).astype(np.float32)}
    found = []
    for number in range(MUTANTS):
        mutant = mutate(model, feeds, np.random.default_rng([1, number]))
        named, unknown = differential.ours(mutant.model)
        theirs, reason = differential.run(mutant.model, mutant.feeds)
        found.append(Row(name, number, mutant.what, theirs, reason, named, unknown))
    return found


def test_what_is_refused_is_named_and_what_runs_is_not() -> None:
    found = [row for name in MODELS for row in rows(name)]
    states = [row.state for row in found]
    wrong = [f"{row.case}: {row.what}: {row.named}" for row in found if row.state == "runs, named"]
    missed = [f"{row.case}: {row.what}" for row in found if row.state == "refuses, passed"]
    named = states.count("refuses, named")
    assert wrong == []
    assert len(missed) < MISSED * (len(missed) + named), missed
    assert named > 200
    assert states.count("runs, passed") > 100


def test_a_disagreement_ends_with_status_one() -> None:
    right = [Row("m", 0, "", "refuses", "no", ("named",), ()), Row("m", 1, "", "runs", "", (), ())]
    assert differential.report(right, io.StringIO()) == 0
    out = io.StringIO()
    wrong = [*right, Row("m", 2, "size 1 -> 2", "runs", "", ("named",), ())]
    assert differential.report(wrong, out) == 1
    assert "runs, named: m: size 1 -> 2: named" in out.getvalue()
    missed = [*right, Row("m", 2, "size 1 -> 2", "refuses", "no", (), ())]
    assert differential.report(missed, io.StringIO()) == 1


def test_what_is_not_known_counts_for_neither() -> None:
    found = [Row("m", 0, "", "refuses", "no", ("named",), ())]
    found.append(Row("m", 1, "", "refuses", "no", (), ("shape of 'x'",)))
    out = io.StringIO()
    assert differential.report(found, out) == 0
    assert "0 of 1" in out.getvalue()


@pytest.mark.parametrize(("theirs", "ours"), [("runs", "passed"), ("ends", "unknown")])
def test_both_answers_make_the_state(theirs, ours) -> None:
    unknown = ("shape of 'x'",) if ours == "unknown" else ()
    assert Row("m", 0, "", theirs, "", (), unknown).state == f"{theirs}, {ours}"


def test_mutants_end_in_a_child_and_leave_their_rows() -> None:
    model = text(*MODELS["gemm"])
    case = Case("gemm", model, {"x": np.ones((2, 8), np.float32)})
    found = differential.judge(case, 5, 0)
    assert [row.number for row in found] == [-1, 0, 1, 2, 3, 4]
    assert found[0].state == "runs, passed"
